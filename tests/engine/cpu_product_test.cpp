// The matrix product against three loops, element by element, and its FLOPs.
#include "engine/cpu/product.hpp"

#include "engine/cpu_support.hpp"

namespace dtcalc::cpu::test {
namespace {

/// Largest error in units of its bound: k products and the sum with the old value round at most k + 2 times, relative
/// to the sum of magnitudes (Higham, Accuracy and Stability, (3.5)); and FLOPs are exact.
template <class T>
double product_error(Layout layout, std::int64_t m, std::int64_t n, std::int64_t k, bool accumulate, int threads) {
  Team team(threads);
  Context context = team.context();
  const auto a = random_values<T>(m * k, 1), b = random_values<T>(k * n, 2), old = random_values<T>(m * n, 3);
  std::vector<T> c = old;
  product(context, layout, m, n, k, a.data(), b.data(), c.data(), accumulate);
  CHECK(team.flop() == static_cast<std::uint64_t>(2 * m * n * k));
  double worst = 0;
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      const auto at = static_cast<std::size_t>(i * n + j);
      long double sum = accumulate ? static_cast<long double>(old[at]) : 0, size = std::abs(sum);
      for (std::int64_t p = 0; p < k; ++p) {
        const auto left = static_cast<std::size_t>(layout == Layout::tn ? p * m + i : i * k + p);
        const auto right = static_cast<std::size_t>(layout == Layout::nt ? j * k + p : p * n + j);
        const long double term = static_cast<long double>(a[left]) * static_cast<long double>(b[right]);
        sum += term;
        size += std::abs(term);
      }
      const long double bound = static_cast<long double>(k + 2) * std::numeric_limits<T>::epsilon() * size;
      worst = std::max(worst, static_cast<double>(std::abs(static_cast<long double>(c[at]) - sum) / bound));
      if (std::isnan(c[at])) return std::numeric_limits<double>::infinity();
    }
  }
  return worst;
}

}  // namespace

TEST_CASE("the product equals three loops in every layout", "[engine][product][flop]") {
  struct Size {
    std::int64_t m, n, k;
  };
  const std::vector<Size> sizes = {{1, 1, 1},     {1, 65, 17},   {65, 1, 17},    {3, 17, 65},
                                   {17, 3, 1},    {65, 65, 65},  {1, 700, 80},   {700, 1, 80},
                                   {300, 17, 33}, {17, 300, 33}, {260, 270, 19}, {5, 9, 700}};
  for (const Layout layout : {Layout::nt, Layout::nn, Layout::tn}) {
    for (const Size& s : sizes) {
      for (const bool accumulate : {false, true}) {
        CAPTURE(static_cast<int>(layout), s.m, s.n, s.k, accumulate);
        CHECK(product_error<double>(layout, s.m, s.n, s.k, accumulate, 2) <= 1);
        CHECK(product_error<float>(layout, s.m, s.n, s.k, accumulate, 3) <= 1);
      }
    }
  }
}

TEST_CASE("a product overwrites garbage unless it accumulates", "[engine][product]") {
  Team team(2);
  Context context = team.context();
  const auto a = random_values<float>(40 * 30, 1), b = random_values<float>(30 * 50, 2);
  std::vector<float> c(40 * 50, std::numeric_limits<float>::quiet_NaN());
  product(context, Layout::nn, 40, 50, 30, a.data(), b.data(), c.data(), false);
  CHECK(std::none_of(c.begin(), c.end(), [](float x) { return std::isnan(x); }));
}

TEST_CASE("a product has the same bits on any number of threads", "[engine][product]") {
  const std::int64_t m = 530, n = 410, k = 300;
  const auto a = random_values<float>(m * k, 1), b = random_values<float>(k * n, 2);
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 2, 5}) {
    Team team(threads);
    Context context = team.context();
    std::vector<float> c(static_cast<std::size_t>(m * n));
    product(context, Layout::nt, m, n, k, a.data(), b.data(), c.data(), false);
    results.push_back(c);
  }
  CHECK(results[0] == results[1]);
  CHECK(results[0] == results[2]);
}

}  // namespace dtcalc::cpu::test
