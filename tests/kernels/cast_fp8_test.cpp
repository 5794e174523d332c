#include <cuda_fp8.h>

#include "kernels/fp8.hpp"
#include "kernels/support.hpp"

namespace dtcalc::cuda::test {
namespace {

constexpr Fp8 kFormats[] = {Fp8::e4m3, Fp8::e5m2};

TEST_CASE("fp8 on the host: NVIDIA's conversion of every finite bf16 number, and back") {
  for (const Fp8 format : kFormats) {
    int differ = 0;
    for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
      const std::uint32_t word = bits << 16;
      float x = 0;
      std::memcpy(&x, &word, sizeof x);
      if (!std::isfinite(x)) continue;
      const auto theirs = __nv_cvt_float_to_fp8(x, __NV_SATFINITE, format == Fp8::e4m3 ? __NV_E4M3 : __NV_E5M2);
      differ += encode(x, format) != theirs;
    }
    CHECK(differ == 0);
    // Codes beyond the largest number are infinities and NaN.
    for (int code = 0; decode(static_cast<std::uint8_t>(code), format) < format_of(format).largest; ++code)
      for (const int sign : {0, 0x80}) {
        const auto both = static_cast<std::uint8_t>(code | sign);
        CHECK(encode(decode(both, format), format) == both);
      }
  }
  CHECK(encode(448, Fp8::e4m3) == 0x7E);
  CHECK(encode(1e9, Fp8::e4m3) == 0x7E);
  CHECK(encode(-57344, Fp8::e5m2) == 0xFB);
  CHECK(encode(17, Fp8::e4m3) == encode(16, Fp8::e4m3));  // halfway to 18: to even
  CHECK(encode(19, Fp8::e4m3) == encode(20, Fp8::e4m3));
}

/// What the kernel makes of x, on the host; the scale is a float, and so is its product.
struct Expected {
  std::vector<std::uint8_t> out, transposed;
  float amax = 0;
};
Expected cast_on_host(const Values& x, std::int64_t rows, std::int64_t columns, float scale, Fp8 format) {
  Expected e;
  e.out.resize(x.size()), e.transposed.resize(x.size());
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c) {
      const auto value = static_cast<float>(x[static_cast<std::size_t>(r * columns + c)]);
      e.out[static_cast<std::size_t>(r * columns + c)] = e.transposed[static_cast<std::size_t>(c * rows + r)] =
          encode(value * scale, format);
      e.amax = std::max(e.amax, std::abs(value));
    }
  return e;
}

TEST_CASE("casts to fp8 on the GPU: numbers, transpose and largest magnitude are the host's, bit for bit") {
  DTCALC_NEED_GPU();
  for_types([](auto tag) {
    using T = decltype(tag);
    for (const Fp8 format : kFormats)
      for (const auto& [rows, columns] :
           {std::pair<std::int64_t, std::int64_t>{8, 8}, {16, 136}, {128, 128}, {264, 1032}, {1024, 48}})
        for (const float scale : {1.0F, 37.5F, 1e-3F, 3e5F}) {
          CAPTURE(static_cast<int>(format), rows, columns, scale);
          const Values x = operands<T>(rows * columns, 3, 5);
          const Expected expected = cast_on_host(x, rows, columns, scale, format);
          Launch launch;
          Buffer<T> in(x);
          Buffer<float> factor(Values{scale}), amax(Values{0});
          Buffer<std::uint8_t> out(rows * columns), transposed(rows * columns), alone(rows * columns);
          require(cast_fp8<T>(launch.context(), format, rows, columns, in.data(), factor.data(), out.data(),
                              transposed.data(), amax.data()));
          CHECK(out.bytes() == expected.out);
          CHECK(transposed.bytes() == expected.transposed);
          CHECK(amax.read()[0] == expected.amax);
          require(cast_fp8<T>(launch.context(), format, rows, columns, in.data(), factor.data(), nullptr, alone.data(),
                              nullptr));
          CHECK(alone.bytes() == expected.transposed);
        }
  });
}

TEST_CASE("casts to fp8: sizes and addresses that the kernel does not take are refused") {
  const Context context;
  std::uint8_t* const nowhere = nullptr;
  const auto* const odd = reinterpret_cast<const bf16*>(std::uintptr_t{2});
  CHECK(cast_fp8<bf16>(context, Fp8::e4m3, 8, 12, nullptr, nullptr, nowhere, nowhere, nullptr) ==
        cudaErrorInvalidValue);
  CHECK(cast_fp8<bf16>(context, Fp8::e4m3, 12, 8, nullptr, nullptr, nowhere, nowhere, nullptr) ==
        cudaErrorInvalidValue);
  CHECK(cast_fp8<bf16>(context, Fp8::e4m3, 8, 8, odd, nullptr, nowhere, nowhere, nullptr) == cudaErrorInvalidValue);
}

TEST_CASE("fp8 scales on the GPU: the largest of the last steps decides, and a restored history means the same") {
  DTCALC_NEED_GPU();
  constexpr std::int64_t tensors = 3, steps = kFp8History + 2;
  Launch launch;
  Buffer<float> history(Values(tensors * kFp8History, 0.0)), amax(Values(tensors, 0.0)), scale(tensors),
      inverse(tensors);
  const Fp8Scales scales{Fp8::e5m2, tensors, history.data(), amax.data(), scale.data(), inverse.data()};
  StepState* state = nullptr;
  require(cudaMalloc(reinterpret_cast<void**>(&state), sizeof(StepState)));
  for (std::int64_t step = 1; step <= steps; ++step) {
    // A peak of 7 in step 2, 2 otherwise; nothing and infinity in the other tensors.
    const float largest[tensors] = {step == 2 ? 7.0F : 2.0F, 0, std::numeric_limits<float>::infinity()};
    StepState now;
    now.step = static_cast<std::uint32_t>(step);
    require(cudaMemcpy(amax.data(), largest, sizeof largest, cudaMemcpyHostToDevice));
    require(cudaMemcpy(state, &now, sizeof now, cudaMemcpyHostToDevice));
    require(update_fp8_scales(launch.context(), scales, state));
    if (step == 1 || step == 2 || step >= kFp8History) {
      CAPTURE(step);
      const double peak = step >= 2 && step < kFp8History + 2 ? 7 : 2;
      CHECK(scale.read()[0] == static_cast<float>(kLargestE5m2 / peak));
      CHECK(scale.read()[1] == 1);
      CHECK(scale.read()[2] == 1);
      CHECK(amax.read() == Values(tensors, 0.0));
    }
  }
  const Values before = scale.read(), before_inverse = inverse.read();
  CHECK(before_inverse[0] == 1.0F / static_cast<float>(before[0]));
  require(cudaMemset(scale.data(), 0, tensors * sizeof(float)));
  require(cudaMemset(inverse.data(), 0, tensors * sizeof(float)));
  require(restore_fp8_scales(launch.context(), scales));
  CHECK(scale.read() == before);
  CHECK(inverse.read() == before_inverse);

  const float alone = 3.5F;
  require(cudaMemcpy(amax.data() + 1, &alone, sizeof alone, cudaMemcpyHostToDevice));
  require(scale_of_amax(launch.context(), scales, 1));
  CHECK(scale.read()[1] == kLargestE5m2 / alone);
  CHECK(scale.read()[0] == before[0]);
  cudaFree(state);
}

}  // namespace
}  // namespace dtcalc::cuda::test
