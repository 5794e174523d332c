#include "costmodel/scenario/draft.hpp"

#include "costmodel/scenario/check.hpp"

namespace dtcalc {

Result<Scenario> drafting(const Scenario& scenario, const Model& draft) {
  Scenario s = scenario;
  s.has_training = false;
  s.model = draft;
  s.inference.draft = {};
  s.draft.reset();
  std::vector<Error> errors;
  check(s, {}, errors);
  if (errors.empty()) return s;
  s.inference.tensor = 1;
  errors.clear();
  check(s, {}, errors);
  if (!errors.empty()) return errors;
  return s;
}

}  // namespace dtcalc
