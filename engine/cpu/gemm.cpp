#include "engine/cpu/gemm.hpp"

#include <Eigen/Core>

namespace dtcalc::cpu {
namespace {

template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using ConstView = Eigen::Map<const Matrix<T>, Eigen::Unaligned, Eigen::OuterStride<>>;
template <class T>
using View = Eigen::Map<Matrix<T>, Eigen::Unaligned, Eigen::OuterStride<>>;

template <class Left, class Right, class Out>
std::uint64_t multiply(const Left& left, const Right& right, Out& out, bool accumulate) {
  if (accumulate) {
    out.noalias() += left * right;
  } else {
    out.noalias() = left * right;
  }
  return 2 * static_cast<std::uint64_t>(left.rows()) * static_cast<std::uint64_t>(left.cols()) *
         static_cast<std::uint64_t>(right.cols());
}

}  // namespace

template <class T>
std::uint64_t gemm(Layout layout, std::int64_t m, std::int64_t n, std::int64_t k, const T* a, std::int64_t lda,
                   const T* b, std::int64_t ldb, T* c, std::int64_t ldc, bool accumulate) {
  View<T> out(c, m, n, Eigen::OuterStride<>(ldc));
  switch (layout) {
    case Layout::nt:
      return multiply(ConstView<T>(a, m, k, Eigen::OuterStride<>(lda)),
                      ConstView<T>(b, n, k, Eigen::OuterStride<>(ldb)).transpose(), out, accumulate);
    case Layout::nn:
      return multiply(ConstView<T>(a, m, k, Eigen::OuterStride<>(lda)),
                      ConstView<T>(b, k, n, Eigen::OuterStride<>(ldb)), out, accumulate);
    case Layout::tn:
      return multiply(ConstView<T>(a, k, m, Eigen::OuterStride<>(lda)).transpose(),
                      ConstView<T>(b, k, n, Eigen::OuterStride<>(ldb)), out, accumulate);
  }
  return 0;
}

template std::uint64_t gemm<float>(Layout, std::int64_t, std::int64_t, std::int64_t, const float*, std::int64_t,
                                   const float*, std::int64_t, float*, std::int64_t, bool);
template std::uint64_t gemm<double>(Layout, std::int64_t, std::int64_t, std::int64_t, const double*, std::int64_t,
                                    const double*, std::int64_t, double*, std::int64_t, bool);

}  // namespace dtcalc::cpu
