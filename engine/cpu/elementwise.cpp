#include "engine/cpu/elementwise.hpp"

#include <algorithm>

namespace dtcalc::cpu {
namespace {

constexpr std::int64_t grain = 4096;  // elements worth waking a worker for

}  // namespace

template <class T>
void bias_dropout_forward(Context& context, std::int64_t rows, std::int64_t columns, T* y, const T* bias, double p,
                          const DropoutKey& key) {
  if (bias == nullptr) return dropout_backward(context, rows * columns, y, p, key);
  const DropoutStream stream(key);
  const std::int64_t row_grain = std::max<std::int64_t>(1, grain / columns);
  context.pool.parallel_for(rows, row_grain, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t row = begin; row < end; ++row) {
      T* const out = y + row * columns;
#pragma omp simd
      for (std::int64_t c = 0; c < columns; ++c) out[c] += bias[c];
      if (p > 0) apply_dropout(stream, p, row * columns, columns, out);
    }
  });
}

template <class T>
void dropout_backward(Context& context, std::int64_t elements, T* dy, double p, const DropoutKey& key) {
  if (p == 0) return;
  const DropoutStream stream(key);
  context.pool.parallel_for(elements, grain, [&](std::int64_t begin, std::int64_t end, int) {
    apply_dropout(stream, p, begin, end - begin, dy + begin);
  });
}

template <class T>
void bias_gradient(Context& context, std::int64_t rows, std::int64_t columns, const T* dy, T* dbias) {
  // Columns are independent, so the split needs no partial sums; rows are added in blocks, which keeps float's error at
  // that of rows / block + block additions.
  constexpr std::int64_t strip = 256, block = 64;
  context.pool.parallel_for(columns, strip, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t c0 = begin; c0 < end; c0 += strip) {
      const std::int64_t count = std::min(strip, end - c0);
      T total[strip] = {};
      for (std::int64_t r0 = 0; r0 < rows; r0 += block) {
        T partial[strip] = {};
        for (std::int64_t row = r0; row < std::min(r0 + block, rows); ++row) {
          const T* const in = dy + row * columns + c0;
#pragma omp simd
          for (std::int64_t c = 0; c < count; ++c) partial[c] += in[c];
        }
        for (std::int64_t c = 0; c < count; ++c) total[c] += partial[c];
      }
      for (std::int64_t c = 0; c < count; ++c) dbias[c0 + c] += total[c];
    }
  });
}

template <class T>
void add(Context& context, std::int64_t elements, T* out, const T* a, const T* b) {
  context.pool.parallel_for(elements, grain, [=](std::int64_t begin, std::int64_t end, int) {
#pragma omp simd
    for (std::int64_t i = begin; i < end; ++i) out[i] = a[i] + b[i];
  });
}

template <class T>
void scale(Context& context, std::int64_t elements, T* x, double factor) {
  const T f = static_cast<T>(factor);
  context.pool.parallel_for(elements, grain, [=](std::int64_t begin, std::int64_t end, int) {
#pragma omp simd
    for (std::int64_t i = begin; i < end; ++i) x[i] *= f;
  });
}

#define DTCALC_INSTANTIATE(T)                                                                       \
  template void bias_dropout_forward<T>(Context&, std::int64_t, std::int64_t, T*, const T*, double, \
                                        const DropoutKey&);                                         \
  template void dropout_backward<T>(Context&, std::int64_t, T*, double, const DropoutKey&);         \
  template void bias_gradient<T>(Context&, std::int64_t, std::int64_t, const T*, T*);               \
  template void add<T>(Context&, std::int64_t, T*, const T*, const T*);                             \
  template void scale<T>(Context&, std::int64_t, T*, double);
DTCALC_INSTANTIATE(float)
DTCALC_INSTANTIATE(double)
#undef DTCALC_INSTANTIATE

}  // namespace dtcalc::cpu
