#include "costmodel/schedule/trace.hpp"

#include <fmt/format.h>

#include <iterator>
#include <map>
#include <tuple>

namespace dtcalc::report {
namespace {

class Trace {
 public:
  explicit Trace(const Simulation& s) : s_(s) {}

  std::string run() {
    text_ = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[";
    for (std::size_t stage = 0; stage < s_.played.stages.size(); ++stage) names(stage);
    for (const Event& e : s_.events) passes_[key(e.instruction.op, e.stage, e.instruction)] = &e;
    for (const Event& e : s_.events) slice(e);
    for (std::size_t stage = 0; stage < s_.played.stages.size(); ++stage)
      for (const MemoryStep& m :
           memory_over_time(s_.schedule, s_.staged.costs, s_.events, static_cast<std::int64_t>(stage)))
        add(R"({{"name":"memory","ph":"C","pid":{},"ts":{},"args":{{"bytes":{}}}}})", stage, microseconds(m.at),
            m.bytes.value());
    text_ += "\n]}\n";
    return std::move(text_);
  }

 private:
  using Key = std::tuple<Op, std::int32_t, std::int32_t, std::int32_t>;
  static Key key(Op op, std::int32_t stage, const Instruction& i) { return {op, stage, i.chunk, i.micro_batch}; }

  static double microseconds(Seconds t) { return t.value() * 1e6; }

  template <class... Arguments>
  void add(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    text_ += first_ ? "\n" : ",\n";
    first_ = false;
    fmt::format_to(std::back_inserter(text_), format, std::forward<Arguments>(arguments)...);
  }

  void names(std::size_t stage) {
    add(R"({{"name":"process_name","ph":"M","pid":{},"args":{{"name":"stage {}"}}}})", stage, stage);
    add(R"({{"name":"process_sort_index","ph":"M","pid":{},"args":{{"sort_index":{}}}}})", stage, stage);
    for (const Stream stream : {Stream::compute, Stream::send, Stream::data})
      add(R"({{"name":"thread_name","ph":"M","pid":{},"tid":{},"args":{{"name":"{}"}}}})", stage,
          static_cast<int>(stream), name_of(stream));
  }

  void slice(const Event& e) {
    const Instruction& i = e.instruction;
    const bool chunks = s_.staged.shape.chunks > 1;
    const std::string label = i.op == Op::optimizer ? std::string(name_of(i.op))
                              : chunks ? fmt::format("{} {} of chunk {}", name_of(i.op), i.micro_batch, i.chunk)
                                       : fmt::format("{} {}", name_of(i.op), i.micro_batch);
    add(R"({{"name":"{}","cat":"{}","ph":"X","pid":{},"tid":{},"ts":{},"dur":{},"args":{{"chunk":{},"micro_batch":{}}}}})",
        label, name_of(i.op), e.stage, static_cast<int>(e.stream), microseconds(e.start), microseconds(e.end - e.start),
        i.chunk, i.micro_batch);
    if (e.stream == Stream::send) arrow(e);
  }

  /// From a transfer to the pass that it feeds.
  void arrow(const Event& e) {
    Instruction to = e.instruction;
    const bool activation = to.op == Op::send_activation;
    // The next chunk of the model is on the next stage; behind the last stage the stage's next chunk begins.
    if (activation && e.instruction.peer < e.stage) ++to.chunk;
    if (!activation && e.instruction.peer > e.stage) --to.chunk;
    const bool split = s_.staged.shape.schedule == PipelineSchedule::zero_bubble;
    const Op op = activation ? Op::forward : split ? Op::backward_input : Op::backward;
    const Event& pass = *passes_.at(key(op, e.instruction.peer, to));
    ++arrows_;
    add(R"({{"name":"transfer","cat":"transfer","ph":"s","id":{},"pid":{},"tid":{},"ts":{}}})", arrows_, e.stage,
        static_cast<int>(e.stream), microseconds(e.start));
    add(R"({{"name":"transfer","cat":"transfer","ph":"f","bp":"e","id":{},"pid":{},"tid":{},"ts":{}}})", arrows_,
        pass.stage, static_cast<int>(pass.stream), microseconds(pass.start));
  }

  const Simulation& s_;
  std::string text_;
  bool first_ = true;
  int arrows_ = 0;
  std::map<Key, const Event*> passes_;
};

}  // namespace

std::string trace(const Simulation& simulation) { return Trace(simulation).run(); }

}  // namespace dtcalc::report
