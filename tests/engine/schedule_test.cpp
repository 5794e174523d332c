// engine/train/schedule: warm-up, cosine, ends (footnote 38 as corrected by E30).
#include "engine/train/schedule.hpp"

#include "support/catch.hpp"

using dtcalc::learning_rate;
using dtcalc::Training;

namespace {

Training training(std::int64_t steps, std::int64_t warmup) {
  Training t;
  t.steps = steps;
  t.warmup_steps = warmup;
  t.learning_rate = 1e-3;
  t.final_learning_rate = 1e-4;
  return t;
}

}  // namespace

TEST_CASE("schedule: linear warm-up to the largest rate, half a cosine down to the smallest") {
  const Training t = training(110, 10);
  CHECK(learning_rate(t, 1) == Approx(1e-4).epsilon(1e-14));
  CHECK(learning_rate(t, 5) == Approx(5e-4).epsilon(1e-14));
  CHECK(learning_rate(t, 10) == Approx(1e-3).epsilon(1e-14));
  CHECK(learning_rate(t, 35) == Approx(1e-4 + 9e-4 * (2 + std::sqrt(2.0)) / 4).epsilon(1e-14));  // (1 + cos 45°) / 2
  CHECK(learning_rate(t, 60) == Approx(5.5e-4).epsilon(1e-14));  // halfway: the mean of both ends
  CHECK(learning_rate(t, 110) == Approx(1e-4).epsilon(1e-14));
  CHECK(learning_rate(t, 1000) == Approx(1e-4).epsilon(1e-14));
}

TEST_CASE("schedule: the cosine begins and ends flat, and its mean is one half") {
  // E30: the quarter cosine that the notes print would have mean 2/pi and a slope at the end.
  const Training t = training(100000, 0);
  double sum = 0;
  for (std::int64_t step = 1; step <= t.steps; ++step) {
    sum += (learning_rate(t, step) - 1e-4) / 9e-4;
    REQUIRE(learning_rate(t, step) <= learning_rate(t, std::max<std::int64_t>(step - 1, 1)));
  }
  CHECK(sum / 1e5 == Approx(0.5).margin(1e-5));  // the sum's end terms: half a step, 5e-6
  CHECK(learning_rate(t, 1) == Approx(1e-3).epsilon(1e-9));
  CHECK(learning_rate(t, 99999) == Approx(1e-4).epsilon(1e-8));
}

TEST_CASE("schedule: no warm-up, nothing but warm-up, a single step") {
  CHECK(learning_rate(training(10, 0), 1) < 1e-3);
  CHECK(learning_rate(training(10, 0), 1) > 9e-4);
  CHECK(learning_rate(training(10, 10), 10) == Approx(1e-3));
  CHECK(learning_rate(training(10, 20), 10) == Approx(5e-4));
  CHECK(learning_rate(training(1, 0), 1) == Approx(1e-4));
}
