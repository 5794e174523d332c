#include "engine/cpu/embedding.hpp"

#include <algorithm>

namespace dtcalc::cpu {
namespace {

constexpr std::int64_t grain = 4096;       // elements worth waking a worker for
constexpr std::int64_t column_grain = 64;  // columns that a worker of the backward takes at least
constexpr std::int64_t column_block = 512;

}  // namespace

template <class T>
void embedding_forward(Context& context, const EmbeddingShape& shape, const std::int32_t* tokens, const T* token_table,
                       const T* position_table, T* x) {
  const std::int64_t hidden = shape.hidden;
  const T factor = static_cast<T>(shape.scale);
  const DropoutStream stream(shape.key);
  const std::int64_t row_grain = std::max<std::int64_t>(1, grain / hidden);
  context.pool.parallel_for(shape.batch * shape.sequence, row_grain, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t row = begin; row < end; ++row) {
      const T* const token = token_table + tokens[row] * hidden;
      T* const out = x + row * hidden;
#pragma omp simd
      for (std::int64_t d = 0; d < hidden; ++d) out[d] = factor * token[d];
      if (position_table != nullptr) {
        const T* const position = position_table + (shape.first_position + row % shape.sequence) * hidden;
#pragma omp simd
        for (std::int64_t d = 0; d < hidden; ++d) out[d] += position[d];
      }
      if (shape.dropout > 0) apply_dropout(stream, shape.dropout, row * hidden, hidden, out);
    }
  });
}

template <class T>
void embedding_backward(Context& context, const EmbeddingShape& shape, const std::int32_t* tokens, const T* dx,
                        T* dtoken_table, T* dposition_table) {
  const std::int64_t hidden = shape.hidden;
  const T factor = static_cast<T>(shape.scale);
  const DropoutStream stream(shape.key);
  context.pool.parallel_for(hidden, column_grain, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t row = 0; row < shape.batch * shape.sequence; ++row) {
      for (std::int64_t c0 = begin; c0 < end; c0 += column_block) {
        const std::int64_t count = std::min(column_block, end - c0);
        const T* gradient = dx + row * hidden + c0;
        T masked[column_block];
        if (shape.dropout > 0) {
          std::copy(gradient, gradient + count, masked);
          apply_dropout(stream, shape.dropout, row * hidden + c0, count, masked);
          gradient = masked;
        }
        if (dtoken_table != nullptr) {
          T* const token = dtoken_table + tokens[row] * hidden + c0;
#pragma omp simd
          for (std::int64_t d = 0; d < count; ++d) token[d] += factor * gradient[d];
        }
        if (dposition_table != nullptr) {
          T* const position = dposition_table + (shape.first_position + row % shape.sequence) * hidden + c0;
#pragma omp simd
          for (std::int64_t d = 0; d < count; ++d) position[d] += gradient[d];
        }
      }
    }
  });
}

#define DTCALC_INSTANTIATE(T)                                                                                       \
  template void embedding_forward<T>(Context&, const EmbeddingShape&, const std::int32_t*, const T*, const T*, T*); \
  template void embedding_backward<T>(Context&, const EmbeddingShape&, const std::int32_t*, const T*, T*, T*);
DTCALC_INSTANTIATE(float)
DTCALC_INSTANTIATE(double)
#undef DTCALC_INSTANTIATE

}  // namespace dtcalc::cpu
