// Cross-entropy against (1.12) with E22, its gradient against finite differences.
#include "engine/cpu/loss.hpp"

#include "engine/cpu_support.hpp"

namespace dtcalc::cpu::test {
namespace {

std::vector<std::int32_t> targets_of(std::int64_t rows, std::int64_t vocabulary) {
  std::vector<std::int32_t> targets;
  for (std::int64_t row = 0; row < rows; ++row) {
    targets.push_back(static_cast<std::int32_t>(row % 4 == 2 ? -1 : row * 7 % vocabulary));
  }
  return targets;
}

std::vector<double> twin(std::int64_t rows, std::int64_t vocabulary, const std::vector<double>& logits,
                         const std::vector<std::int32_t>& targets, double cap) {
  std::vector<double> losses;
  const auto width = static_cast<std::size_t>(vocabulary);
  for (std::size_t row = 0; row < static_cast<std::size_t>(rows); ++row) {
    if (targets[row] < 0) {
      losses.push_back(0);
      continue;
    }
    const auto logit = [&](std::size_t i) {
      const double z = logits[row * width + i];
      return cap > 0 ? cap * std::tanh(z / cap) : z;
    };
    double sum = 0;
    for (std::size_t i = 0; i < width; ++i) sum += std::exp(logit(i));
    losses.push_back(std::log(sum) - logit(static_cast<std::size_t>(targets[row])));
  }
  return losses;
}

struct Size {
  std::int64_t rows, vocabulary;
};
const std::vector<Size> sizes = {{1, 2}, {3, 3}, {17, 65}, {6, 5003}};

}  // namespace

TEST_CASE("cross-entropy equals its definition", "[engine][loss]") {
  Team team(3);
  Context context = team.context();
  for (const Size& s : sizes) {
    for (const double cap : {0.0, 3.0}) {
      CAPTURE(s.rows, s.vocabulary, cap);
      auto logits = random_values(s.rows * s.vocabulary, 1);
      for (double& z : logits) z *= 5;
      const auto targets = targets_of(s.rows, s.vocabulary);
      const auto expected = twin(s.rows, s.vocabulary, logits, targets, cap);
      double total = 0;
      for (const double loss : expected) total += loss;
      const auto counted = s.rows - std::count(targets.begin(), targets.end(), -1);

      const auto check = [&](auto zero) {
        using T = decltype(zero);
        // The sum over the vocabulary by lanes, an ulp of logits up to 5, exp and tanh.
        const double bound = rounding<T>(s.vocabulary / 32 + 40);
        auto typed = converted<T>(logits);
        std::vector<T> losses(targets.size(), T(-1)), again = losses;
        const LossSum sum =
            loss_forward(context, s.rows, s.vocabulary, typed.data(), targets.data(), cap, losses.data());
        CHECK(error(losses, expected) < bound);
        CHECK(sum.tokens == counted);
        CHECK(std::abs(sum.total - total) < bound * static_cast<double>(counted));
        const LossSum both =
            loss_forward_backward(context, s.rows, s.vocabulary, typed.data(), targets.data(), cap, 0.5, again.data());
        CHECK(again == losses);
        CHECK(both.total == sum.total);
        CHECK(both.tokens == counted);
        for (std::size_t row = 0; row < targets.size(); ++row) {
          const auto begin = typed.begin() + static_cast<std::ptrdiff_t>(row) * s.vocabulary;
          const auto end = begin + s.vocabulary;
          if (targets[row] < 0) CHECK(std::count(begin, end, T(0)) == s.vocabulary);
        }
      };
      check(0.0);
      check(0.0F);
    }
  }
}

TEST_CASE("the gradient of cross-entropy equals finite differences", "[engine][loss]") {
  Team team(2);
  Context context = team.context();
  for (const Size& s : sizes) {
    for (const double cap : {0.0, 2.0}) {
      CAPTURE(s.rows, s.vocabulary, cap);
      const auto logits = random_values(s.rows * s.vocabulary, 1);
      const auto targets = targets_of(s.rows, s.vocabulary);
      std::vector<double> losses(targets.size());
      auto gradient = logits;
      loss_forward_backward(context, s.rows, s.vocabulary, gradient.data(), targets.data(), cap, 0.25, losses.data());
      const auto mean = [&](const std::vector<double>& moved) {
        double sum = 0;
        for (const double loss : twin(s.rows, s.vocabulary, moved, targets, cap)) sum += 0.25 * loss;
        return sum;
      };
      require_gradient(mean, logits, gradient);
      auto single = converted<float>(logits);
      std::vector<float> single_losses(targets.size());
      loss_forward_backward(context, s.rows, s.vocabulary, single.data(), targets.data(), cap, 0.25,
                            single_losses.data());
      CHECK(distance(single, gradient) < rounding<float>(s.vocabulary / 64 + 40));
    }
  }
}

TEST_CASE("cross-entropy survives logits beyond exp's range", "[engine][loss]") {
  Team team(1);
  Context context = team.context();
  const std::vector<float> logits = {1000, 0, -1000};
  std::vector<std::int32_t> target = {0};
  float loss = -1;
  CHECK(loss_forward(context, 1, 3, logits.data(), target.data(), 0, &loss).total == 0);
  target = {2};
  CHECK(loss_forward(context, 1, 3, logits.data(), target.data(), 0, &loss).mean() == 2000);
}

}  // namespace dtcalc::cpu::test
