// Matrix products in fp8 by cuBLASLt, on small integers: E4M3 and E5M2 hold them, and their sums are exact.
#include "engine/cuda/product.hpp"

#include "engine/cuda/backend.hpp"
#include "kernels/fp8.hpp"
#include "kernels/support.hpp"

namespace dtcalc::cuda::test {
namespace {

constexpr std::int64_t m = 48, n = 80, k = 128;

Values integers(std::int64_t count, std::uint64_t seed) {
  Values values = random_values(count, seed);
  for (double& value : values) value = std::nearbyint(value);
  return values;
}

/// Codes on the device.
class Codes {
 public:
  Codes(const Values& values, Fp8 format) {
    std::vector<std::uint8_t> codes;
    for (const double value : values) codes.push_back(encode(value, format));
    require(cudaMalloc(&memory_, codes.size()));
    require(cudaMemcpy(memory_, codes.data(), codes.size(), cudaMemcpyHostToDevice));
  }
  ~Codes() { cudaFree(memory_); }
  Codes(const Codes&) = delete;
  Codes& operator=(const Codes&) = delete;
  const void* data() const { return memory_; }

 private:
  void* memory_ = nullptr;
};

TEST_CASE("products in fp8: exact in small integers, with scales, bias and accumulation") {
  DTCALC_NEED_GPU();
  const auto gpus = find_gpus();
  REQUIRE(gpus);
  if (!has_fp8(gpus->front())) DTCALC_SKIP("the GPU has no fp8");
  const Values a = integers(m * k, 1), b = integers(n * k, 2), bias = integers(n, 3), before = integers(m * n, 4);
  constexpr std::int64_t workspace_bytes = 32 << 20;
  auto products = Products::make(workspace_bytes, gpus->front().name, {});
  if (!products) FAIL(describe(products.errors()));
  Launch launch(workspace_bytes);
  Buffer<float> factors(Values{0.5, 4});
  for (const bool gradient : {false, true}) {
    CAPTURE(gradient);
    ProductShape shape = dense_product(Layout::nt, m, n, k);
    shape.operands = Dtype::fp8;
    shape.gradient = gradient;
    shape.output = gradient ? Dtype::fp32 : Dtype::bf16;
    shape.bias = !gradient;
    shape.accumulate = gradient;
    Values expected(static_cast<std::size_t>(m * n));
    for (std::int64_t i = 0; i < m; ++i)
      for (std::int64_t j = 0; j < n; ++j) {
        double sum = 0;
        for (std::int64_t l = 0; l < k; ++l)
          sum += a[static_cast<std::size_t>(i * k + l)] * b[static_cast<std::size_t>(j * k + l)];
        const auto at = static_cast<std::size_t>(i * n + j);
        expected[at] = 2 * sum + (gradient ? before[at] : bias[static_cast<std::size_t>(j)]);
      }
    const Codes left(a, gradient ? Fp8::e5m2 : Fp8::e4m3), right(b, Fp8::e4m3);
    const ProductScales scales{factors.data(), factors.data() + 1};
    Buffer<bf16> narrow_bias(bias);
    const auto run = [&](void* out) {
      const auto error = products->run(shape, left.data(), right.data(), out, gradient ? nullptr : narrow_bias.data(),
                                       launch.context().workspace, nullptr, scales);
      if (error) FAIL(describe(*error));
    };
    if (const auto error = products->plan({shape}, nullptr)) FAIL(describe(*error));  // every candidate works
    if (gradient) {
      Buffer<float> out(before);
      run(out.data());
      CHECK(out.read() == expected);
    } else {
      Buffer<bf16> out(m * n);
      run(out.data());
      CHECK(out.read() == expected);
    }
  }
}

}  // namespace
}  // namespace dtcalc::cuda::test
