// engine/train/markov: the known losses against chains solved by hand, by another method and by counting.
#include "engine/train/markov.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "support/catch.hpp"

using namespace dtcalc;

namespace {

/// Two symbols, next = 1 with probability ones[a][b] / 2^16 after (a, b).
MarkovSource two_symbols(const std::uint32_t (&ones)[2][2]) {
  MarkovSource source;
  source.alphabet = 2;
  for (const auto& row : ones) {
    for (const std::uint32_t one : row) source.limits.insert(source.limits.end(), {65536 - one, 65536});
  }
  return source;
}

double binary_entropy(double p) { return -p * std::log(p) - (1 - p) * std::log(1 - p); }

const MarkovSource& standard() {
  static const MarkovSource source = make_markov_source(8, 1, 7);
  return source;
}

}  // namespace

TEST_CASE("markov: a chain that repeats the symbol before last is solved exactly") {
  // X_t = X_t-2 with probability 3/4: two interleaved fair coins that stick, so one token back says nothing.
  const MarkovLosses losses = markov_losses(two_symbols({{16384, 16384}, {49152, 49152}}));
  CHECK(losses.entropy_rate == Approx(binary_entropy(0.25)).margin(1e-13));
  CHECK(losses.bigram_loss == Approx(std::log(2.0)).margin(1e-13));
  CHECK(losses.unigram_loss == Approx(std::log(2.0)).margin(1e-13));
  CHECK(losses.optimum(4) == Approx((std::log(2.0) + 3 * binary_entropy(0.25)) / 4).margin(1e-13));
}

TEST_CASE("markov: a chain of order one has its bigram loss as entropy rate") {
  // P(1|0) = 1/4, P(0|1) = 1/2: stationary 2/3, 1/3.
  const MarkovLosses losses = markov_losses(two_symbols({{16384, 32768}, {16384, 32768}}));
  const double expected = 2.0 / 3 * binary_entropy(0.25) + 1.0 / 3 * std::log(2.0);
  CHECK(losses.entropy_rate == Approx(expected).margin(1e-13));
  CHECK(losses.bigram_loss == Approx(expected).margin(1e-13));
  CHECK(losses.unigram_loss == Approx(binary_entropy(1.0 / 3)).margin(1e-13));
}

TEST_CASE("markov: a chain that is not symmetric, pairs solved by hand") {
  // P(1|00) = 1/2, P(1|01) = 1/4, P(1|10) = 1/2, P(1|11) = 3/4. With x = pi(01) = pi(10): flow into 00 gives
  // pi(00) / 2 = x / 2, flow into 11 gives pi(11) / 4 = x / 4, so all four pairs have 1/4.
  const MarkovSource source = two_symbols({{32768, 16384}, {32768, 49152}});
  for (const double pair : stationary_pairs(source)) CHECK(pair == Approx(0.25).margin(1e-13));
  CHECK(markov_losses(source).entropy_rate == Approx(0.5 * std::log(2.0) + 0.5 * binary_entropy(0.25)).margin(1e-13));
}

TEST_CASE("markov: every row of a made table is a distribution without zeros") {
  for (const std::int32_t alphabet : {8, 9, 16, 64}) {
    const MarkovSource source = make_markov_source(alphabet, 3, 1);
    REQUIRE(source.limits.size() == static_cast<std::size_t>(alphabet) * alphabet * alphabet);
    for (std::int32_t a = 0; a < alphabet; ++a) {
      for (std::int32_t b = 0; b < alphabet; ++b) {
        double sum = 0;
        double least = 1;
        for (std::int32_t c = 0; c < alphabet; ++c) {
          sum += probability(source, a, b, c);
          least = std::min(least, probability(source, a, b, c));
        }
        REQUIRE(sum == 1.0);  // multiples of 2^-16: exact
        REQUIRE(least > 0);
      }
    }
  }
}

TEST_CASE("markov: the bigram model is at least 0.3 nats worse for every table") {
  for (std::uint64_t table_seed = 0; table_seed < 20; ++table_seed) {
    const MarkovLosses losses = markov_losses(make_markov_source(8, table_seed, 1));
    CAPTURE(table_seed, losses.entropy_rate, losses.bigram_loss);
    CHECK(losses.bigram_loss - losses.entropy_rate > 0.3);
    CHECK(losses.unigram_loss > losses.bigram_loss);
    CHECK(losses.unigram_loss < std::log(8.0));
  }
}

TEST_CASE("markov: the stationary distribution is one, and 64 symbols reach it from anywhere") {
  const std::vector<double> pairs = stationary_pairs(standard());
  CHECK(std::accumulate(pairs.begin(), pairs.end(), 0.0) == Approx(1).margin(1e-13));
  // Distribution of the pair after 64 symbols from one certain pair, by the definition.
  std::vector<double> now(64, 0.0);
  now[0] = 1;
  for (int step = 0; step < 64; ++step) {
    std::vector<double> next(64, 0.0);
    for (std::int32_t a = 0; a < 8; ++a) {
      for (std::int32_t b = 0; b < 8; ++b) {
        for (std::int32_t c = 0; c < 8; ++c) next[b * 8 + c] += now[a * 8 + b] * probability(standard(), a, b, c);
      }
    }
    now = next;
  }
  double distance = 0;
  for (std::size_t i = 0; i < 64; ++i) distance += std::abs(now[i] - pairs[i]);
  CHECK(distance < 1e-12);
}

TEST_CASE("markov: a stream depends on its name only") {
  std::vector<std::int32_t> long_one(1000), short_one(10), other(1000);
  generate(standard(), 1, 5, 3, long_one);
  generate(standard(), 1, 5, 3, short_one);
  CHECK(std::equal(short_one.begin(), short_one.end(), long_one.begin()));
  const auto differs = [&](const MarkovSource& source, std::uint32_t kind, std::uint32_t step, std::uint32_t sequence) {
    generate(source, kind, step, sequence, other);
    return other != long_one;
  };
  CHECK(differs(standard(), 2, 5, 3));
  CHECK(differs(standard(), 1, 6, 3));
  CHECK(differs(standard(), 1, 5, 4));
  CHECK(differs(make_markov_source(8, 1, 8), 1, 5, 3));
  CHECK_FALSE(differs(make_markov_source(8, 1, 7), 1, 5, 3));
}

TEST_CASE("markov: samples have the exact losses") {
  constexpr std::size_t length = 2000000;
  std::vector<std::int32_t> symbols(length);
  generate(standard(), 1, 0, 0, symbols);
  const MarkovLosses exact = markov_losses(standard());

  // -ln P has a standard deviation below 1.7 nats here (checked) and neighbours are weakly correlated: twice the
  // standard error of independent draws, times five.
  double mean = 0, square = 0;
  for (std::size_t i = 2; i < length; ++i) {
    const double loss = -std::log(probability(standard(), symbols[i - 2], symbols[i - 1], symbols[i]));
    mean += loss;
    square += loss * loss;
  }
  mean /= static_cast<double>(length - 2);
  const double deviation = std::sqrt(square / static_cast<double>(length - 2) - mean * mean);
  CHECK(deviation < 1.7);
  const double tolerance = 10 * deviation / std::sqrt(static_cast<double>(length));
  CHECK(mean == Approx(exact.entropy_rate).margin(tolerance));
  CHECK(sample_loss(standard(), symbols) == Approx(mean).epsilon(1e-12));

  // Conditional entropy of the counted pairs: the estimate's bias is about 8 * 7 / (2 length), far below the
  // tolerance.
  std::vector<double> pairs(64, 0.0), singles(8, 0.0);
  for (std::size_t i = 1; i < length; ++i) {
    pairs[static_cast<std::size_t>(symbols[i - 1] * 8 + symbols[i])] += 1;
    singles[static_cast<std::size_t>(symbols[i - 1])] += 1;
  }
  double bigram = 0;
  for (std::size_t i = 0; i < 64; ++i) {
    if (pairs[i] > 0) bigram -= pairs[i] * std::log(pairs[i] / singles[i / 8]);
  }
  CHECK(bigram / static_cast<double>(length - 1) == Approx(exact.bigram_loss).margin(tolerance));
}

TEST_CASE("markov: a table of counts learns the source from few samples") {
  // What a model must at least see: 64 rows of 7 free numbers cost about 64 * 7 / (2 N) nats over the entropy rate when
  // estimated from N samples, 0.02 nats at N = 11200. Counts with half a sample added everywhere, tested on fresh
  // streams.
  constexpr std::size_t length = 11200;
  std::vector<std::int32_t> symbols(length), fresh(1000000);
  generate(standard(), 1, 0, 0, symbols);
  generate(standard(), 2, 0, 0, fresh);
  std::vector<double> counts(8 * 64, 0.5), rows(64, 4.0);
  for (std::size_t i = 2; i < length; ++i) {
    const auto row = static_cast<std::size_t>(symbols[i - 2] * 8 + symbols[i - 1]);
    counts[row * 8 + static_cast<std::size_t>(symbols[i])] += 1;
    rows[row] += 1;
  }
  double loss = 0;
  for (std::size_t i = 2; i < fresh.size(); ++i) {
    const auto row = static_cast<std::size_t>(fresh[i - 2] * 8 + fresh[i - 1]);
    loss -= std::log(counts[row * 8 + static_cast<std::size_t>(fresh[i])] / rows[row]);
  }
  const double excess = loss / static_cast<double>(fresh.size() - 2) - sample_loss(standard(), fresh);
  CAPTURE(excess);
  CHECK(excess > 0.01);
  CHECK(excess < 0.03);
}
