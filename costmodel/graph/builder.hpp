// Appends the forward operators of one segment: layers (builder.cpp), blocks (build_block.cpp) and the ends of the
// model (build_ends.cpp). Internal to this folder: build.cpp makes the segments of a graph with it.
#pragma once

#include <initializer_list>
#include <utility>

#include "costmodel/graph/graph.hpp"

namespace dtcalc {

inline constexpr Extent kRows{Symbol::batch, Symbol::query};  ///< positions of a micro-batch
inline constexpr Extent kFull{Symbol::batch, Symbol::query, Symbol::hidden};

class Builder {
 public:
  Builder(const Choices& choices, Segment& segment);

  void prologue();
  void block();
  void epilogue();

 private:
  // --- tensors and operators --------------------------------------------------------------------------------------
  TensorId tensor(Name name, Width width, const Extent& elements, const char* suffix = "");
  TensorId parameter(Name name, const Extent& elements, const char* suffix, ParameterClass owner,
                     const Extent& columns = {});
  /// Token ids, targets, pixels: given from outside.
  TensorId input(Name name, Width width, const Extent& elements, const char* suffix);
  Operator& append(OperatorKind kind, Name name, std::initializer_list<TensorId> inputs,
                   std::initializer_list<TensorId> outputs);
  /// Under autocast a product reads 2-byte copies of fp32 tensors (E60, E83); otherwise `x` itself.
  TensorId cast(TensorId x);
  TensorId product(Name name, TensorId x, TensorId weight, const Extent& n, const Extent& k);
  TensorId bias(Name name, TensorId x, TensorId b);
  // --- layout -----------------------------------------------------------------------------------------------------
  /// The residual stream on this rank: (B, S, D), under sequence parallelism (B, S / T, D).
  Extent stream() const { return stream_rows_ * Extent{Symbol::hidden}; }
  TensorId alias(TensorId of, Name name);
  /// What the column-parallel products read (7.7). Entering the same tensor twice is entering it once.
  TensorId enter(Name name, TensorId x);
  /// The sum over ranks of what a row-parallel product wrote (7.8).
  TensorId leave(Name name, TensorId partial);
  TensorId in_place(OperatorKind kind, Name name, TensorId x, bool needed);
  // --- layers -----------------------------------------------------------------------------------------------------
  /// y = x W^T + b, weight stored (n, k); columns of W^T, and with them b, may be sharded.
  TensorId linear(Name name, Name bias_name, TensorId x, const Extent& n, const Extent& k, bool has_bias,
                  ParameterClass owner);
  /// The same with the rows of W^T sharded: ranks hold partial sums, b is added to their sum.
  TensorId row_linear(Name name, Name bias_name, Name reduce_name, TensorId x, const Extent& k, bool has_bias,
                      ParameterClass owner);
  /// The weight (n, k) of a block's product; one that is frozen and packed is unpacked first.
  TensorId matrix(Name name, const Extent& n, const Extent& k, ParameterClass owner);
  /// base + B A x where the matrix has an adapter, else `base`. Over tensor-parallel ranks A is cut as the columns of W
  /// are, B as its rows; the other one is whole on every rank.
  TensorId adapted(TensorId base, TensorId x, const Extent& n, const Extent& k, ParameterClass owner);
  TensorId dropout(Name name, TensorId x, std::uint8_t site);
  /// (1.1) over the hidden dimension (E01), or RMSNorm.
  TensorId norm(Name name, TensorId x, bool affine);
  TensorId add(Name name, TensorId a, TensorId b);
  TensorId queries_or_keys(TensorId x, bool keys);
  /// Keeps new keys or values; what attention reads then is all that the cache holds. A prefill begins with an empty
  /// one.
  TensorId cached(TensorId x);
  /// Causal attention (1.3)-(1.7) with the masks of E02; heads are the outer index of the concatenation (E50).
  TensorId attention(TensorId x);
  /// (1.9), or with a gate (2.2).
  TensorId mlp(TensorId x);
  TensorId embedded_tokens();
  TensorId embedded_image();
  /// One position of every sequence: the last one, or the class token.
  TensorId pooled(TensorId x);
  TensorId head(TensorId x);
  /// Vectors of unit length against those of all data ranks (9.1).
  TensorId compared(TensorId vectors);
  void cross_entropy(TensorId logits, bool sharded);

  const Choices& c_;
  Segment& s_;
  Extent stream_rows_;
  Extent product_rows_ = kRows;  ///< m of the products; the last positions alone for the head in serving
  std::pair<TensorId, TensorId> entered_{kNone, kNone};  ///< the tensor that entered last, and what it became
};

}  // namespace dtcalc
