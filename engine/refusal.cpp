#include "engine/refusal.hpp"

#include <fmt/format.h>

#include "costmodel/graph/graph.hpp"
#include "costmodel/scenario/names.hpp"

namespace dtcalc {

std::optional<Error> refuse_everywhere(const Scenario& s) {
  const Model& m = s.model;
  const Training& t = s.training;
  if (m.input != ModelInput::tokens || m.head != Head::language || !m.causal)
    return Error{"/model", m.name, "is not a decoder-only language model, and the engine has no kernels for another",
                 "run a model of tokens with a head of language; estimate takes this one"};
  if (t.method != Method::supervised)
    return Error{"/training/method", fmt::format("\"{}\"", name_of(t.method)),
                 "trains on answers, and the engine trains on the next token",
                 "set training.method=supervised; estimate takes this one"};
  if (t.optimizer == Optimizer::adam8bit)
    return Error{"/training/optimizer", "\"adam8bit\"", "keeps moments in 8 bits, and the engine's optimizers in 32",
                 "set training.optimizer=adamw; estimate takes this one"};
  if (t.adapter.rank > 0)
    return Error{"/training/adapter/rank", fmt::format("{}", t.adapter.rank),
                 "adapters have no kernels in the engine, which trains a model's own weights",
                 "set training.adapter.rank=0, or freeze parameters with training.frozen; estimate takes this one"};
  if (choices_of(s, true).packed)
    return Error{"/training/frozen_weights", fmt::format("\"{}\"", name_of(t.frozen_weights)),
                 "frozen weights are kept as the precision says in the engine",
                 fmt::format("set training.frozen_weights={}", name_of(compute_dtype(t.precision)))};
  return std::nullopt;
}

}  // namespace dtcalc
