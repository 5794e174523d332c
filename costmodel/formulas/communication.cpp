// Communication; see communication.hpp.
#include "costmodel/formulas/communication.hpp"

namespace dtcalc::formulas {

double collective_bytes_sent(Collective op, double M, std::int64_t N) {
  const double n = static_cast<double>(N), others = n - 1;
  if (N <= 1) return 0;
  switch (op) {
    case Collective::broadcast:
    case Collective::gather:
    case Collective::reduce:
      return M;
    case Collective::scatter:
    case Collective::reduce_scatter:
    case Collective::all_to_all:
      return M * others / n;
    case Collective::all_gather:
      return M * others;
    case Collective::all_reduce:
      return 2 * M * others / n;
  }
  return 0;
}

double broadcast_bytes_sent(double M, std::int64_t N) { return collective_bytes_sent(Collective::broadcast, M, N); }
double gather_bytes_sent(double M, std::int64_t N) { return collective_bytes_sent(Collective::gather, M, N); }
double reduce_bytes_sent(double M, std::int64_t N) { return collective_bytes_sent(Collective::reduce, M, N); }
double reduce_scatter_bytes_sent(double M, std::int64_t N) {
  return collective_bytes_sent(Collective::reduce_scatter, M, N);
}
double all_gather_bytes_sent(double M, std::int64_t N) { return collective_bytes_sent(Collective::all_gather, M, N); }
double all_reduce_bytes_sent(double M, std::int64_t N) { return collective_bytes_sent(Collective::all_reduce, M, N); }
double scatter_bytes_sent(double M, std::int64_t N) { return collective_bytes_sent(Collective::scatter, M, N); }
double all_to_all_bytes_sent(double M, std::int64_t N) { return collective_bytes_sent(Collective::all_to_all, M, N); }

double tp_comm_bytes_per_layer(double B, double S, double D, double p, std::int64_t T, bool sp, Phase phase,
                               bool sp_regather) {
  const double forward = 2 * collective_bytes_sent(Collective::all_reduce, p * B * S * D, T);
  const double gathers =
      sp && sp_regather ? 2 * collective_bytes_sent(Collective::reduce_scatter, p * B * S * D, T) : 0;
  switch (phase) {
    case Phase::forward:
      return forward;
    case Phase::backward:
      return forward + gathers;
    case Phase::both:
      return 2 * forward + gathers;
  }
  return 0;
}

double tp_head_comm_bytes(double B, double S, double D, double p, std::int64_t T, double p_loss) {
  return collective_bytes_sent(Collective::all_reduce, B * S * (2 * p * D + 3 * p_loss), T);
}

double eq_7_9_compute_over_comms(double D, double E, double p, std::int64_t T, double flop_rate, double comm_bw) {
  return (4 + 2 * E) * D * comm_bw / (2 * p * static_cast<double>(T - 1) * flop_rate);
}

double dp_comm_bytes(double N, std::int64_t Nd, double p_grad, double p_param, std::int64_t zero_stage) {
  if (zero_stage == 0) return collective_bytes_sent(Collective::all_reduce, p_grad * N, Nd);
  const double gathers = zero_stage == 3 ? 2 : 1;
  const double gathered = collective_bytes_sent(Collective::all_gather, p_param * N / static_cast<double>(Nd), Nd);
  return collective_bytes_sent(Collective::reduce_scatter, p_grad * N, Nd) + gathers * gathered;
}

}  // namespace dtcalc::formulas
