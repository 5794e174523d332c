// Random scenarios over everything that a training step can be: presets of models, devices and stacks, every
// layout and schedule, precisions, optimizers, adapters, frozen weights, preferences, images. Used by property tests.
#pragma once

#include <filesystem>
#include <initializer_list>
#include <random>
#include <set>
#include <string>

#include "costmodel/scenario/scenario.hpp"

namespace dtcalc::test {

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  /// One of `values`.
  template <class T>
  T pick(std::initializer_list<T> values) {
    return *(values.begin() + engine_() % values.size());
  }
  bool coin() { return engine_() % 2 == 0; }
  /// True in one of `n` cases.
  bool one_in(unsigned n) { return engine_() % n == 0; }

 private:
  std::mt19937 engine_;
};

/// A scenario that the loader accepts, with presets from the folder `data`. `words` collects the choices that were
/// made, so that a test can show what its sample covers.
Scenario random_scenario(Random& random, const std::filesystem::path& data, std::set<std::string>& words);

}  // namespace dtcalc::test
