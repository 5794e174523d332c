// Training time; see time.hpp.
#include "costmodel/formulas/time.hpp"

namespace dtcalc::formulas {

Seconds eq_5_1_t_min(Flop C_model, FlopPerSecond rate) { return C_model / rate; }

Seconds eq_5_2_train_time(double N, double N_tokens, FlopPerSecond rate, double n_gpu, double mfu) {
  return Seconds(6 * N * N_tokens / (n_gpu * rate.value() * mfu));
}

Seconds eq_5_3_train_time(double N, FlopPerSecond rate, double tokens_per_param) {
  return eq_5_2_train_time(N, tokens_per_param * N, rate);
}

double eq_5_4_utilization(Seconds t_min, Seconds t_iter) { return t_min / t_iter; }

}  // namespace dtcalc::formulas
