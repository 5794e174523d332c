#include "costmodel/evaluate/measured_rates.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "costmodel/evaluate/device_rates.hpp"
#include "costmodel/evaluate/product_law.hpp"
#include "costmodel/scenario/scenario.hpp"

namespace dtcalc {
namespace {

/// Neighbours of x on an axis and the weight of the upper one on a logarithmic scale.
struct Bracket {
  std::size_t low = 0, high = 0;
  double weight = 0;
};

Bracket bracket(const std::vector<std::int64_t>& axis, const std::vector<double>& logs, std::int64_t x) {
  const auto above = static_cast<std::size_t>(std::lower_bound(axis.begin(), axis.end(), x) - axis.begin());
  if (above == axis.size()) return {above - 1, above - 1, 0};  // beyond the grid: its edge
  if (above == 0 || axis[above] == x) return {above, above, 0};
  const double weight = (std::log(static_cast<double>(x)) - logs[above - 1]) / (logs[above] - logs[above - 1]);
  return {above - 1, above, weight};
}

void sort_unique(std::vector<std::int64_t>& values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

std::vector<double> logs_of(const std::vector<std::int64_t>& values) {
  std::vector<double> logs;
  for (std::int64_t v : values) logs.push_back(std::log(static_cast<double>(v)));
  return logs;
}

std::size_t position(const std::vector<std::int64_t>& axis, std::int64_t x) {
  return static_cast<std::size_t>(std::lower_bound(axis.begin(), axis.end(), x) - axis.begin());
}

constexpr std::array kMatrixProducts{static_cast<LawId>(Contract::product), static_cast<LawId>(Contract::product_input),
                                     static_cast<LawId>(Contract::product_weight)};

/// Linears and their gradients, which cuBLAS-class libraries compute in tiles; also with rows of odd lengths.
bool is_matrix_product(LawId law) {
  return std::any_of(kMatrixProducts.begin(), kMatrixProducts.end(),
                     [&](LawId product) { return law == product || law == law_of_odd_rows(product); });
}
bool is_weight_gradient(LawId law) { return law == kMatrixProducts[2] || law == law_of_odd_rows(kMatrixProducts[2]); }

Dtype dtype_of(const std::string& name) {
  if (name == "bf16") return Dtype::bf16;
  if (name == "fp16") return Dtype::fp16;
  return name == "tf32" ? Dtype::tf32 : Dtype::fp32;
}

double flop_of(const ProductPoint& p) {
  return 2 * static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k);
}

/// What product_law says of a measured point: operands once, an accumulated fp32 gradient read and written.
double law_seconds(const DeviceRates& rates, Dtype dtype, LawId law, const ProductPoint& p) {
  const double element = 0.5 * half_bytes(dtype);
  const auto m = static_cast<double>(p.m), n = static_cast<double>(p.n), k = static_cast<double>(p.k);
  const double result = is_weight_gradient(law) ? 8 : element;
  return product_time(rates, p.m, p.n, p.k, 1, element * (m * k + n * k) + result * m * n, element).seconds;
}

std::size_t corner(const ProductGrid& grid, std::size_t m, std::size_t n, std::size_t k) {
  return (m * grid.sizes[1].size() + n) * grid.sizes[2].size() + k;
}

}  // namespace

MeasuredRates::MeasuredRates(const Device& device) {
  const Dtype dtype = dtype_of(device.measured_dtype);
  const DeviceRates rates = device_rates(device, Software{}, dtype, 64);  // products do not look at heads
  corrects_ = rates.tiles > 0;
  element_half_bytes_ = half_bytes(dtype);
  for (const ProductPoint& p : device.products) {
    const LawId law = law_id(p.kernel);
    if (law == kNoLaw) continue;
    ProductGrid& grid = products_[law];
    grid.sizes[0].push_back(p.m), grid.sizes[1].push_back(p.n), grid.sizes[2].push_back(p.k);
  }
  for (ProductGrid& grid : products_) {
    for (std::size_t axis = 0; axis < grid.sizes.size(); ++axis) {
      sort_unique(grid.sizes[axis]);
      grid.log_sizes[axis] = logs_of(grid.sizes[axis]);
    }
    grid.log_value.assign(grid.sizes[0].size() * grid.sizes[1].size() * grid.sizes[2].size(),
                          std::numeric_limits<double>::quiet_NaN());
  }
  for (const ProductPoint& p : device.products) {
    const LawId law = law_id(p.kernel);
    if (law == kNoLaw) continue;
    ProductGrid& grid = products_[law];
    const double by_law = corrects_ && is_matrix_product(law) ? law_seconds(rates, dtype, law, p) : 0;
    grid.log_value[corner(grid, position(grid.sizes[0], p.m), position(grid.sizes[1], p.n),
                          position(grid.sizes[2], p.k))] =
        by_law > 0 ? std::log(flop_of(p) / p.rate.value() / by_law) : std::log(p.rate.value());
  }

  std::vector<const LoopPoint*> points;
  for (const LoopPoint& p : device.loops)
    if (p.time.value() > 0) points.push_back(&p);  // a pass shorter than the clock's tick says nothing
  std::stable_sort(points.begin(), points.end(),
                   [](const LoopPoint* a, const LoopPoint* b) { return a->elements < b->elements; });
  for (const LoopPoint* p : points) {
    const LawId law = law_id(p->loop);
    if (law == kNoLaw) continue;
    LoopCurve& curve = loops_[law];
    if (!curve.elements.empty() && curve.elements.back() == p->elements) continue;  // the first of two equals
    curve.elements.push_back(p->elements);
    curve.log_elements.push_back(std::log(static_cast<double>(p->elements)));
    curve.log_seconds_per_element.push_back(std::log(p->time.value() / static_cast<double>(p->elements)));
  }
}

double MeasuredRates::product_rate(LawId law, std::int64_t m, std::int64_t n, std::int64_t k) const {
  return corrects_ && is_matrix_product(law) ? 0 : interpolated(products_[law], m, n, k);
}

double MeasuredRates::product_factor(LawId law, std::int64_t m, std::int64_t n, std::int64_t k) const {
  if (!corrects_ || !is_matrix_product(law)) return 0;
  // Rows as long as n and k, of the gradient of a weight as m and n (contract.hpp).
  const std::int64_t other = law == kMatrixProducts[2] ? m : k;
  if ((n * element_half_bytes_ % 32 != 0 || other * element_half_bytes_ % 32 != 0))
    if (const double odd = interpolated(products_[law_of_odd_rows(law)], m, n, k); odd > 0) return odd;
  return interpolated(products_[law], m, n, k);
}

double MeasuredRates::interpolated(const ProductGrid& grid, std::int64_t m, std::int64_t n, std::int64_t k) const {
  if (grid.log_value.empty()) return 0;
  const Bracket bm = bracket(grid.sizes[0], grid.log_sizes[0], m);
  const Bracket bn = bracket(grid.sizes[1], grid.log_sizes[1], n);
  const Bracket bk = bracket(grid.sizes[2], grid.log_sizes[2], k);
  double sum = 0, weight = 0;
  for (int at = 0; at < 8; ++at) {
    const bool hm = at & 1, hn = at & 2, hk = at & 4;
    const double w =
        (hm ? bm.weight : 1 - bm.weight) * (hn ? bn.weight : 1 - bn.weight) * (hk ? bk.weight : 1 - bk.weight);
    if (w == 0) continue;
    const double value =
        grid.log_value[corner(grid, hm ? bm.high : bm.low, hn ? bn.high : bn.low, hk ? bk.high : bk.low)];
    if (std::isnan(value)) continue;
    sum += w * value;
    weight += w;
  }
  return weight > 0 ? std::exp(sum / weight) : 0;
}

double MeasuredRates::loop_seconds(LawId law, std::int64_t elements) const {
  const LoopCurve& curve = loops_[law];
  if (curve.elements.empty()) return 0;
  const Bracket b = bracket(curve.elements, curve.log_elements, elements);
  return std::exp((1 - b.weight) * curve.log_seconds_per_element[b.low] +
                  b.weight * curve.log_seconds_per_element[b.high]);
}

void index_measurements(Device& device) {
  device.rates.reset();
  if (!device.products.empty()) device.rates = std::make_shared<const MeasuredRates>(device);
}

}  // namespace dtcalc
