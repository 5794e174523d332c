// Closed forms for training time: (5.1)-(5.4). Used by the registry and the tests. Everything is a double.
#pragma once

#include "costmodel/units.hpp"

namespace dtcalc::formulas {

/// (5.1) C_model / lambda_FLOP/s: least time of one pass over a batch.
Seconds eq_5_1_t_min(Flop C_model, FlopPerSecond rate);

/// (5.2) 6 N N_tokens / (n_gpu lambda mfu). Leading order in S/D, as (4.3); n_gpu = mfu = 1 gives the notes' form.
Seconds eq_5_2_train_time(double N, double N_tokens, FlopPerSecond rate, double n_gpu = 1, double mfu = 1);

/// (5.3) 6 k N^2 / lambda with k tokens per parameter: 120 N^2 / lambda at the notes' k = 20.
Seconds eq_5_3_train_time(double N, FlopPerSecond rate, double tokens_per_param = 20);

/// (5.4) with E03: t_min / t_iter, in [0, 1] (the notes print the inverse). MFU with (5.1) of the model FLOPs, HFU with
/// that of the hardware FLOPs; HFU >= MFU.
double eq_5_4_utilization(Seconds t_min, Seconds t_iter);

}  // namespace dtcalc::formulas
