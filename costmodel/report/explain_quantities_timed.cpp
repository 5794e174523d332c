// What a training step sends and how long it takes; see explain_quantity.hpp.
#include <algorithm>
#include <iterator>

#include "costmodel/report/explain_quantity.hpp"

namespace dtcalc::report {
namespace {

template <Axis axis>
double sent(const Evaluated& e) {
  return e.totals.traffic[static_cast<std::size_t>(axis)].sent_bytes;
}

template <Axis axis>
double exposed(const Evaluated& e) {
  return e.totals.traffic[static_cast<std::size_t>(axis)].exposed.value();
}

/// An axis's figure by tower.
template <double (*of)(const AxisTraffic&), Axis axis>
Summands by_tower(const Evaluated& e) {
  Summands sum;
  for (const EvaluatedTower& t : e.towers) {
    const double value = of(t.totals.traffic[static_cast<std::size_t>(axis)]) * static_cast<double>(t.tower.runs);
    if (value != 0 || e.towers.size() == 1)
      sum.push_back({t.tower.name.empty() ? "a device of the slowest stage" : std::string(t.tower.name), "", "",
                     t.tower.runs, value});
  }
  return sum;
}
double bytes_of_axis(const AxisTraffic& t) { return t.sent_bytes; }
double exposed_of_axis(const AxisTraffic& t) { return t.exposed.value(); }

Summands step_parts(const Evaluated& e) {
  const Totals& t = e.totals;
  return {{"compute_s", "", "", 1, t.compute.value()},
          {"exposed_communication_s", "", "", 1, t.exposed.value()},
          {"bubble_s", "", "", 1, t.bubble.value()},
          {"optimizer_s", "", "", 1, t.optimizer.value()},
          {"host_s", "", "", 1, t.host.value()}};
}

Summands host_summands(const Evaluated& e) {
  Summands sum = time_summands(e, Part::launches);
  double launches = 0;
  for (const Summand& s : sum) launches += s.value;
  const double waiting = e.totals.host.value() - launches;
  return {{"gaps between kernels", "", "", 1, launches}, {"waiting for the host", "", "", 1, waiting}};
}

bool in_stages(const Tower& t) { return t.scenario.training.parallel.pipeline > 1; }
bool in_one_stage(const Tower& t) { return !in_stages(t); }
bool writes(const Tower& t) { return is_serving(t.work); }
bool runs_tensor(const Tower& t) { return !writes(t); }

std::vector<Quantity> make_communication() {
  return {
      {"tensor_bytes",
       "Sent by a device over the tensor-parallel axis",
       "B",
       Scope::micro_batch,
       Topic::communication,
       sent<Axis::tensor>,
       by_tower<bytes_of_axis, Axis::tensor>,
       {{"", "Two all-reduces of p B S D a layer and pass", "7.2, App. B", "passes*m*4*L/P*(T-1)/T*p*B*S*D/R",
         "leading order", runs_tensor}}},
      {"context_bytes",
       "Sent by a device around the ring of keys and values",
       "B",
       Scope::micro_batch,
       Topic::communication,
       sent<Axis::context>,
       by_tower<bytes_of_axis, Axis::context>,
       {{"", "Keys and values R-1 times, and back with their gradients", "7.4, E37",
         "m*L/P*2*B*S/R*max(G/T,1)*H*((R-1)*p*passes+(passes-1)*R*p)", "leading order", runs_tensor}}},
      {"pipeline_bytes",
       "Sent by a device to its neighbouring stages",
       "B",
       Scope::micro_batch,
       Topic::communication,
       sent<Axis::pipeline>,
       by_tower<bytes_of_axis, Axis::pipeline>,
       {{"", "The residual stream on and its gradient back, a stage in the middle", "7.5", "2*m*v*p_stream*B*S_local*D",
         "exact", in_stages},
        {"", "One stage has no neighbour", "definition", "0", "exact", in_one_stage}}},
      {"data_bytes",
       "Sent by a device to those that hold the same parameters",
       "B",
       Scope::micro_batch,
       Topic::communication,
       sent<Axis::data>,
       by_tower<bytes_of_axis, Axis::data>,
       {{"", "Reduce gradients and gather weights; ZeRO 3 in every micro-batch", "7.2, errata 4",
         "zero_passes*N_trained_device*p_gradient*(N_d-1)/N_d+zero_gathers*p_gathered*N_device*(N_d-1)/N_d",
         "leading order", runs_tensor}}},
      {"tensor_exposed_s",
       "Time in which only the tensor-parallel axis works",
       "s",
       Scope::micro_batch,
       Topic::time,
       exposed<Axis::tensor>,
       by_tower<exposed_of_axis, Axis::tensor>,
       {{"", "At the rate of the links, nothing hidden", "App. B", "tensor_bytes/lambda_comms", "leading order", always,
         true}}},
      {"context_exposed_s",
       "Time in which only the ring works",
       "s",
       Scope::micro_batch,
       Topic::time,
       exposed<Axis::context>,
       by_tower<exposed_of_axis, Axis::context>,
       {{"", "At the rate of the links, nothing hidden", "App. B", "context_bytes/lambda_comms", "leading order",
         always, true}}},
      {"data_exposed_s",
       "Time in which only the data-parallel axis works",
       "s",
       Scope::micro_batch,
       Topic::time,
       exposed<Axis::data>,
       by_tower<exposed_of_axis, Axis::data>,
       {{"", "At the rate of the links, nothing hidden", "App. B", "data_bytes/lambda_comms", "leading order", always,
         true}}},
  };
}

std::vector<Quantity> make_time() {
  return {
      {"step_s",
       "Time of a step",
       "s",
       Scope::step,
       Topic::time,
       [](const Evaluated& e) { return e.totals.step.value(); },
       step_parts,
       {definition("compute_s+exposed_communication_s+bubble_s+optimizer_s+host_s"), from_registry("eq_5_1_t_min")}},
      {"compute_s",
       "Time of the kernels on the slowest stage, without the optimizer's",
       "s",
       Scope::step,
       Topic::time,
       [](const Evaluated& e) { return e.totals.compute.value(); },
       [](const Evaluated& e) { return time_summands(e, Part::compute); },
       {{"", "Executed FLOPs at the peak", "5.1, E03", "C_hardware/(n_gpu*lambda_flops)", "leading order", always,
         true}}},
      {"exposed_communication_s",
       "Communication that nothing hides",
       "s",
       Scope::step,
       Topic::time,
       [](const Evaluated& e) { return e.totals.exposed.value(); },
       [](const Evaluated& e) {
         return Summands{{"tensor_exposed_s", "", "", 1, exposed<Axis::tensor>(e)},
                         {"context_exposed_s", "", "", 1, exposed<Axis::context>(e)},
                         {"data_exposed_s", "", "", 1, exposed<Axis::data>(e)}};
       },
       {definition("tensor_exposed_s+context_exposed_s+data_exposed_s")}},
      {"bubble_s",
       "Waiting for other stages",
       "s",
       Scope::step,
       Topic::time,
       [](const Evaluated& e) { return e.totals.bubble.value(); },
       [](const Evaluated& e) {
         return one("the schedule's length less the slowest stage's work", "", e.totals.bubble.value());
       },
       {{"", "Equal stages, free transfers, GPipe and 1F1B", "7.5, errata 4", "(P-1)/v*t_stage", "leading order",
         in_stages},
        {"", "One stage waits for no other", "definition", "0", "exact", in_one_stage}}},
      {"optimizer_s",
       "Update of the parameters, with clipping",
       "s",
       Scope::step,
       Topic::time,
       [](const Evaluated& e) { return e.totals.optimizer.value(); },
       [](const Evaluated& e) { return time_summands(e, Part::optimizer); },
       {{"", "States read and written, gradients read, weights written, at the memory's bandwidth", "F.2, 3.4",
         "(2*(separate_master*p_master+s_states*p_moment)+p_gradient+p_model)*ceil(N_trained_device/Z_1)/lambda_mem",
         "leading order", trains}}},
      {"host_s",
       "Gaps between kernels and waiting for the host",
       "s",
       Scope::step,
       Topic::time,
       [](const Evaluated& e) { return e.totals.host.value(); },
       host_summands,
       {definition("step_s-compute_s-exposed_communication_s-bubble_s-optimizer_s")}},
      {"tokens_per_s",
       "Tokens trained per second",
       "token/s",
       Scope::step,
       Topic::time,
       [](const Evaluated& e) { return (e.totals.tokens / e.totals.step).value(); },
       [](const Evaluated& e) {
         return one("tokens of a step over its time", "tokens/t_iter", (e.totals.tokens / e.totals.step).value());
       },
       {definition("tokens/step_s"),
        {"", "At the peak rate, from (4.3)", "4.3, 5.1", "n_gpu*lambda_flops/(6*N)", "leading order", trains_all}}},
      {"mfu",
       "Model FLOPs utilization",
       "1",
       Scope::step,
       Topic::time,
       [](const Evaluated& e) { return e.totals.mfu; },
       [](const Evaluated& e) { return one("model FLOPs at the peak over the step", "t_min/t_iter", e.totals.mfu); },
       {{"", "(5.4) with E03, model FLOPs", "5.4, 5.1", "model_flop/(n_gpu*lambda_flops)/step_s", "exact", always,
         true}}},
      {"hfu",
       "Hardware FLOPs utilization",
       "1",
       Scope::step,
       Topic::time,
       [](const Evaluated& e) { return e.totals.hfu; },
       [](const Evaluated& e) {
         return one("executed FLOPs at the peak over the step", "C_hardware/lambda_flops/t_iter", e.totals.hfu);
       },
       {{"", "(5.4) with E03, executed FLOPs", "5.4, 5.1", "hardware_flop/(n_gpu*lambda_flops)/step_s", "exact", always,
         true}}},
      {"training_s",
       "Time of the whole training",
       "s",
       Scope::step,
       Topic::time,
       [](const Evaluated& e) { return e.totals.step.value() * static_cast<double>(e.scenario.training.steps); },
       [](const Evaluated& e) {
         return Summands{{"step_s", "t_iter", "", e.scenario.training.steps,
                          e.totals.step.value() * static_cast<double>(e.scenario.training.steps)}};
       },
       {definition("steps*step_s"), from_registry("eq_5_2_train_time", trains_all)}},
  };
}

}  // namespace

const std::vector<Quantity>& timed_quantities() {
  static const std::vector<Quantity> all = [] {
    std::vector<Quantity> list = make_communication();
    std::vector<Quantity> time = make_time();
    std::move(time.begin(), time.end(), std::back_inserter(list));
    return list;
  }();
  return all;
}

}  // namespace dtcalc::report
