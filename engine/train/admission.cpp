#include "engine/train/admission.hpp"

#include <fmt/core.h>

#include "costmodel/evaluate/evaluate.hpp"
#include "costmodel/units_text.hpp"

namespace dtcalc {

std::optional<Error> refuse_beyond_memory(const Scenario& scenario, std::optional<Bytes> free) {
  if (!free) return std::nullopt;
  const Totals ledger = evaluate(scenario, true);
  if (ledger.total <= *free) return std::nullopt;
  const auto line = [](const char* category, Bytes bytes) {
    return fmt::format("\n  {:<12}{:>12}  {:>20} bytes", category, print(bytes), bytes.value());
  };
  std::string reason = fmt::format("is the predicted peak of this run, and {} are free:", print(*free));
  reason += line("parameters", ledger.parameters_bytes) + line("gradients", ledger.gradients_bytes) +
            line("optimizer", ledger.optimizer_bytes) + line("activations", ledger.activations_bytes) +
            line("logits", ledger.logits_bytes) + line("workspace", ledger.workspace_bytes) +
            line("total", ledger.total) + line("free", *free) + "\n";
  return Error{"memory", print(ledger.total), std::move(reason),
               "take a smaller model or micro_batch, or training.recompute=full", ErrorKind::memory};
}

}  // namespace dtcalc
