// One matrix product on one thread, with strides: the only place where the engine calls Eigen's GEMM, and so the only
// place where FLOPs are counted. Called by product.cpp and by the attention kernels on their blocks.
#pragma once

#include <cstdint>

namespace dtcalc::cpu {

/// Storage of the row-major operands of C (m, n):
///   nt  A (m, k) · B (n, k)^T   forward, weights stored [out, in]
///   nn  A (m, k) · B (k, n)     gradient of the input
///   tn  A (k, m)^T · B (k, n)   gradient of the weight
enum class Layout : std::uint8_t { nt, nn, tn };

/// C = or += the product; `lda`, `ldb`, `ldc` are the distances between rows. Returns the FLOPs done, from the sizes of
/// the Eigen expressions.
template <class T>
[[nodiscard]] std::uint64_t gemm(Layout layout, std::int64_t m, std::int64_t n, std::int64_t k, const T* a,
                                 std::int64_t lda, const T* b, std::int64_t ldb, T* c, std::int64_t ldc,
                                 bool accumulate);

}  // namespace dtcalc::cpu
