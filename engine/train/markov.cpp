#include "engine/train/markov.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "engine/train/random_stream.hpp"

namespace dtcalc {
namespace {

constexpr std::uint32_t row_total = 1U << 16;
constexpr std::uint32_t shared_total = row_total / 4;  // what depends on the last symbol alone
constexpr std::uint32_t table_kind =
    0x5441424C;                     // a stream kind of its own: the table shares no numbers with the streams
constexpr int symbols_before = 64;  // the distance to the stationary distribution is below 1e-14 by then
constexpr double change_limit = 1e-14;
constexpr int most_iterations = 100000;

/// Geometric weights of the given sum, largest first: each takes two thirds of what is left, at least 1.
std::vector<std::uint32_t> weights(std::size_t alphabet, std::uint32_t sum) {
  std::vector<std::uint32_t> result(alphabet, 1);
  std::uint32_t left = sum - static_cast<std::uint32_t>(alphabet);
  for (std::uint32_t& weight : result) {
    const std::uint32_t share = (2 * left + 2) / 3;
    weight += share;
    left -= share;
  }
  result.front() += left;
  return result;
}

/// Adds the weights in a random order (Fisher and Yates) to `row`.
void add_shuffled(std::vector<std::uint32_t> values, RandomStream& random, std::uint32_t* row) {
  for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[random.below(i)]);
  for (std::size_t i = 0; i < values.size(); ++i) row[i] += values[i];
}

std::size_t size(const MarkovSource& source) { return static_cast<std::size_t>(source.alphabet); }

/// Row (a, b) of the table: its K running sums.
std::span<const std::uint32_t> row(const MarkovSource& source, std::size_t a, std::size_t b) {
  return std::span(source.limits).subspan((a * size(source) + b) * size(source), size(source));
}

double entry(std::span<const std::uint32_t> limits, std::size_t c) {
  return static_cast<double>(limits[c] - (c == 0 ? 0 : limits[c - 1])) / row_total;
}

/// -p ln p, 0 at 0.
double surprise(double p) { return p > 0 ? -p * std::log(p) : 0; }

/// One step of the chain on the distribution of pairs (K, K): next[b, c] = sum over a of pairs[a, b] P(c | a, b).
std::vector<double> advance(const MarkovSource& source, const std::vector<double>& pairs) {
  const std::size_t k = size(source);
  std::vector<double> next(k * k, 0.0);
  for (std::size_t a = 0; a < k; ++a) {
    for (std::size_t b = 0; b < k; ++b) {
      const std::span<const std::uint32_t> limits = row(source, a, b);
      for (std::size_t c = 0; c < k; ++c) next[b * k + c] += pairs[a * k + b] * entry(limits, c);
    }
  }
  return next;
}

}  // namespace

double probability(const MarkovSource& source, std::int32_t a, std::int32_t b, std::int32_t c) {
  return entry(row(source, static_cast<std::size_t>(a), static_cast<std::size_t>(b)), static_cast<std::size_t>(c));
}

MarkovSource make_markov_source(std::int32_t alphabet, std::uint64_t table_seed, std::uint64_t seed) {
  if (alphabet < 8 || alphabet > 64) throw std::logic_error("make_markov_source: alphabet must be 8 to 64");
  MarkovSource source;
  source.alphabet = alphabet;
  source.seed = seed;
  const std::size_t k = size(source);
  source.limits.assign(k * k * k, 0);
  const std::vector<std::uint32_t> of_last = weights(k, shared_total), of_both = weights(k, row_total - shared_total);
  RandomStream random({table_seed, table_kind, 0, 0});
  for (std::size_t b = 0; b < k; ++b) {
    std::vector<std::uint32_t> shared(k, 0);
    add_shuffled(of_last, random, shared.data());
    for (std::size_t a = 0; a < k; ++a) {
      std::uint32_t* counts = &source.limits[(a * k + b) * k];
      std::copy(shared.begin(), shared.end(), counts);
      add_shuffled(of_both, random, counts);
      std::partial_sum(counts, counts + k, counts);
    }
  }
  return source;
}

std::vector<double> stationary_pairs(const MarkovSource& source) {
  const std::size_t k = size(source);
  std::vector<double> pairs(k * k, 1.0 / static_cast<double>(k * k));
  for (int iteration = 0; iteration < most_iterations; ++iteration) {
    std::vector<double> next = advance(source, pairs);
    double change = 0;
    for (std::size_t i = 0; i < next.size(); ++i) change += std::abs(next[i] - pairs[i]);
    pairs = std::move(next);
    if (change < change_limit) return pairs;
  }
  throw std::logic_error("stationary_pairs: the chain does not mix");
}

MarkovLosses markov_losses(const MarkovSource& source) {
  const std::size_t k = size(source);
  const std::vector<double> pairs = stationary_pairs(source);
  MarkovLosses losses;
  // H(X_t | X_t-1, X_t-2): mean over pairs of the entropy of their row.
  for (std::size_t a = 0; a < k; ++a) {
    for (std::size_t b = 0; b < k; ++b) {
      const std::span<const std::uint32_t> limits = row(source, a, b);
      for (std::size_t c = 0; c < k; ++c) losses.entropy_rate += pairs[a * k + b] * surprise(entry(limits, c));
    }
  }
  // H(X_t) and, by the chain rule, H(X_t | X_t-1) = H(X_t-1, X_t) - H(X_t-1).
  double pair_entropy = 0;
  for (std::size_t b = 0; b < k; ++b) {
    double single = 0;
    for (std::size_t c = 0; c < k; ++c) {
      single += pairs[b * k + c];
      pair_entropy += surprise(pairs[b * k + c]);
    }
    losses.unigram_loss += surprise(single);
  }
  losses.bigram_loss = pair_entropy - losses.unigram_loss;
  return losses;
}

void generate(const MarkovSource& source, std::uint32_t kind, std::uint32_t step, std::uint32_t sequence,
              std::span<std::int32_t> symbols) {
  RandomStream random({source.seed, kind, step, sequence});
  auto before = static_cast<std::size_t>(random.below(size(source)));
  auto last = static_cast<std::size_t>(random.below(size(source)));
  const auto draw = [&] {
    const std::span<const std::uint32_t> limits = row(source, before, last);
    const std::uint32_t number = random.next32() >> 16;
    before = std::exchange(
        last, static_cast<std::size_t>(std::upper_bound(limits.begin(), limits.end(), number) - limits.begin()));
    return static_cast<std::int32_t>(last);
  };
  for (int i = 0; i < symbols_before; ++i) draw();
  for (std::int32_t& symbol : symbols) symbol = draw();
}

double sample_loss(const MarkovSource& source, std::span<const std::int32_t> symbols) {
  double loss = 0;
  for (std::size_t i = 2; i < symbols.size(); ++i) {
    loss -= std::log(probability(source, symbols[i - 2], symbols[i - 1], symbols[i]));
  }
  return loss / static_cast<double>(symbols.size() - 2);
}

}  // namespace dtcalc
