// Closed forms for communication: App. B's collectives, tensor and sequence parallelism (7.2, 7.3, (7.9)), data
// parallelism with ZeRO. Used by the tests of placement and of the communicators. Bytes that one worker sends, as
// double: (N-1)/N of a message need not be whole.
#pragma once

#include <cstdint>

namespace dtcalc::formulas {

enum class Collective : std::uint8_t {
  broadcast,       ///< M: pipelined along a chain, every worker but the last passes the message on
  gather,          ///< M: every worker but the chief
  reduce,          ///< M: every worker but the chief
  scatter,         ///< M (N-1)/N: the chief
  reduce_scatter,  ///< M (N-1)/N
  all_gather,      ///< M (N-1)
  all_reduce,      ///< 2M (N-1)/N: reduce-scatter, then all-gather (E48)
  all_to_all       ///< M (N-1)/N
};

/// App. B: bytes sent by a worker that sends (see the enumerators), ring implementation. M: bytes each worker holds at
/// the start. N: workers; one worker sends nothing.
double collective_bytes_sent(Collective op, double M, std::int64_t N);

// One function per collective, for the registry.
double broadcast_bytes_sent(double M, std::int64_t N);
double gather_bytes_sent(double M, std::int64_t N);
double reduce_bytes_sent(double M, std::int64_t N);
double reduce_scatter_bytes_sent(double M, std::int64_t N);
double all_gather_bytes_sent(double M, std::int64_t N);
double all_reduce_bytes_sent(double M, std::int64_t N);
double scatter_bytes_sent(double M, std::int64_t N);
double all_to_all_bytes_sent(double M, std::int64_t N);

enum class Phase : std::uint8_t { forward, backward, both };

/// Bytes sent per worker and block. Tensor parallel: two all-reduces of pBSD forward, two backward (4 + 4 units of
/// pBSD(T-1)/T). With sequence parallelism an all-gather and a reduce-scatter replace each (the same 4 + 4); if
/// column-parallel Linears save shards of their inputs, backward gathers them again: 4 + 6 (E32).
double tp_comm_bytes_per_layer(double B, double S, double D, double p, std::int64_t T, bool sp, Phase phase,
                               bool sp_regather);

/// Sharded embedding and LM head, forward and backward: one all-reduce of pBSD each, and three of (B, S) in p_loss
/// bytes for the cross-entropy: maximum, sum of exponentials, target logit (E33; the notes send scalar losses).
double tp_head_comm_bytes(double B, double S, double D, double p, std::int64_t T, double p_loss);

/// (7.9) with E34: t_compute / t_comms of a block, (4+2E)D lambda_comms / (2p(T-1) lambda_FLOP/s). Leading order:
/// weight products only.
double eq_7_9_compute_over_comms(double D, double E, double p, std::int64_t T, double flop_rate, double comm_bw);

/// Data parallelism over Nd ranks, one step of one micro-batch: stage 0 all-reduces the gradients; 1 and 2
/// reduce-scatter gradients and gather parameters; 3 gathers parameters in both passes. 2Np, 2Np, 2Np, 3Np times
/// (Nd-1)/Nd when p_grad = p_param = p.
double dp_comm_bytes(double N, std::int64_t Nd, double p_grad, double p_param, std::int64_t zero_stage);

}  // namespace dtcalc::formulas
