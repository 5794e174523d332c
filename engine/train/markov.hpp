// A synthetic token source whose best possible loss is known: a Markov chain of order two.
//
// Called by data.cpp and by the convergence test: a model that looks back only one token (a bigram model) stays at
// `bigram_loss`, one that has learned to attend to the token before reaches `entropy_rate`. All probabilities are
// integers over 2^16, so that the stream is the same on every machine.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace dtcalc {

struct MarkovSource {
  std::int32_t alphabet = 0;          ///< K symbols 0..K-1; the model's vocabulary_size may be larger
  std::uint64_t seed = 1;             ///< of the streams; the transition table has its own
  std::vector<std::uint32_t> limits;  ///< (K, K, K): 2^16 P(next <= c | before a, last b) at [(a K + b) K + c]
};

/// P(next = c | before a, last b).
double probability(const MarkovSource& source, std::int32_t a, std::int32_t b, std::int32_t c);

/// The losses that matter, in nats per token.
struct MarkovLosses {
  double entropy_rate = 0;  ///< H(X_t | X_t-1, X_t-2): the best loss of any model, in the limit of long sequences
  double bigram_loss = 0;   ///< H(X_t | X_t-1): the best loss of a model that sees one token
  double unigram_loss = 0;  ///< H(X_t)
  /// Best mean loss over a sequence's targets: the first target has one token before it, all others two or more.
  double optimum(std::int64_t sequence) const {
    return (bigram_loss + static_cast<double>(sequence - 1) * entropy_rate) / static_cast<double>(sequence);
  }
};

/// A quarter of what follows depends on the last symbol alone, the rest on the last two; each part is a random order of
/// weights that fall to a third from one to the next, none zero. `alphabet` is 8 to 64. With 8 symbols the entropy rate
/// is about 1.3 nats, some 0.5 below the bigram model, and a GPT of hidden size 32 learns it from two million tokens
/// (docs/data.md).
MarkovSource make_markov_source(std::int32_t alphabet, std::uint64_t table_seed, std::uint64_t seed);

/// Stationary distribution of the pairs (before, last), (K, K). The chain must mix, as one without zero probabilities
/// does.
std::vector<double> stationary_pairs(const MarkovSource& source);

/// Exact values, from the stationary distribution of the pairs (power iteration until a step changes less than 1e-14 in
/// sum).
MarkovLosses markov_losses(const MarkovSource& source);

/// Writes the stream's symbols. It is stationary from its first symbol (64 symbols before it are thrown away). The
/// name's seed is the source's, its kind whatever the caller gives.
void generate(const MarkovSource& source, std::uint32_t kind, std::uint32_t step, std::uint32_t sequence,
              std::span<std::int32_t> symbols);

/// Mean of -ln P(symbol | the two before) over symbols[2..]: what the true model loses on this very sample.
double sample_loss(const MarkovSource& source, std::span<const std::int32_t> symbols);

}  // namespace dtcalc
