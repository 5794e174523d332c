// The laws of time keep their bounds and their order, whatever the shape: no figure of a prediction rests on a product
// that is faster than the device or slower on a faster one.
#include <cmath>
#include <random>
#include <set>

#include "costmodel/evaluate/attention_law.hpp"
#include "costmodel/evaluate/evaluate.hpp"
#include "costmodel/evaluate/measured_rates.hpp"
#include "costmodel/scenario/load.hpp"
#include "costmodel/scenario/presets.hpp"
#include "support/catch.hpp"

using namespace dtcalc;

namespace {

const std::vector<std::string> gpus{"v100-sxm2-32", "a100-80-sxm", "h100", "b200", "l4"};

Device device(const std::string& name) { return load_device(name, {DTCALC_SOURCE_DIR, {}}).value(); }

struct Shape {
  std::int64_t m, n, k, batch;
  double bytes() const { return 2.0 * static_cast<double>(batch) * static_cast<double>(m * k + k * n + m * n); }
  double flop() const { return 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k * batch); }
};

/// Log-uniform shapes: rows of a vector, whole models, everything between.
std::vector<Shape> shapes() {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> exponent(0, 17);
  const auto size = [&] { return static_cast<std::int64_t>(std::exp2(exponent(random))); };
  std::vector<Shape> all{{1, 1, 1, 1}, {1, 131072, 1, 1}, {1, 1, 1 << 20, 1}, {1 << 18, 1 << 18, 1 << 18, 1}};
  for (int i = 0; i < 2000; ++i) all.push_back({size(), size(), size(), i % 4 == 0 ? size() % 256 + 1 : 1});
  return all;
}

DeviceRates rates_of(const Device& d) { return device_rates(d, Software{}, Dtype::fp16, 128); }

double seconds(const DeviceRates& r, const Shape& s) {
  return product_time(r, s.m, s.n, s.k, s.batch, s.bytes(), 2).seconds;
}

}  // namespace

TEST_CASE("a product takes a finite time, at least its roofline, on every GPU", "[law]") {
  for (const std::string& name : gpus) {
    const Device d = device(name);
    const DeviceRates r = rates_of(d);
    REQUIRE(r.tiles > 0);
    for (const Shape& s : shapes()) {
      CAPTURE(name, s.m, s.n, s.k, s.batch);
      const double t = seconds(r, s);
      REQUIRE(std::isfinite(t));
      REQUIRE(t >= s.flop() / d.rate(Dtype::fp16).value());  // the achieved share of the peak is at most 1
      REQUIRE(t >= s.bytes() / d.memory_bandwidth.value());
    }
  }
}

TEST_CASE("no product is slower on a device with a faster figure", "[law]") {
  const Device slow = device("a100-80-sxm");
  std::vector<Device> faster(6, slow);
  for (ComputeRate& c : faster[0].compute) c.rate = c.rate * 1.3;
  faster[1].memory_bandwidth = slow.memory_bandwidth * 1.3;
  faster[2].memory_latency = slow.memory_latency * 0.5;
  faster[3].kernel_latency = slow.kernel_latency * 0.5;
  faster[4].l2_cache = slow.l2_cache * 4;
  for (ComputeFraction& f : faster[5].achievable_compute) f.fraction = 1;
  const DeviceRates r = rates_of(slow);
  for (std::size_t i = 0; i < faster.size(); ++i) {
    const DeviceRates f = rates_of(faster[i]);
    bool helps = false;
    for (const Shape& s : shapes()) {
      CAPTURE(i, s.m, s.n, s.k, s.batch);
      const double before = seconds(r, s), after = seconds(f, s);
      REQUIRE(after <= before * (1 + 1e-12));
      helps = helps || after < before * 0.999;
    }
    CHECK(helps);
  }
}

TEST_CASE("a product pays for whole waves of whole tiles", "[law]") {
  const Device d = device("a100-80-sxm");
  const DeviceRates r = rates_of(d);
  // Rows within one tile cost the same arithmetic; 108 SMs x a tile of 256 x 128 fill a wave.
  const auto compute = [&](std::int64_t m, std::int64_t n) { return product_time(r, m, n, 8192, 1, 0, 2).compute_s; };
  const std::int64_t full = 12 * 256, width = 9 * 128;  // 12 x 9 = 108 tiles
  CHECK(compute(full, width) == Approx(compute(full - 60, width)).epsilon(1e-12));
  CHECK(compute(full + 1, width) > 1.2 * compute(full, width));  // a second round for a part of the tiles
  // At a full wave the products run at the achievable rate.
  const double flop = 2.0 * static_cast<double>(full * width) * 8192;
  CHECK(compute(full, width) == Approx(flop * r.seconds_per_flop).epsilon(1e-9));
}

TEST_CASE("a product with few tiles and a long inner dimension is cut along it", "[law]") {
  const DeviceRates r = rates_of(device("h100"));
  const double one_tile = 2.0 * 64 * 64 * r.seconds_per_flop * 132 / 0.5;  // per unit of k on one SM
  const std::int64_t k = 65536;
  CHECK(product_time(r, 64, 64, k, 1, 0, 2).compute_s < 0.02 * one_tile * static_cast<double>(k));
}

TEST_CASE("fused attention takes at least its published share of the peak and its bytes", "[law]") {
  for (const std::string& name : gpus)
    for (FlashKernel kernel : {FlashKernel::flash_1, FlashKernel::flash_2, FlashKernel::flash_3, FlashKernel::cudnn})
      for (std::int64_t head : {32, 64, 128, 256})
        for (std::int64_t s : {1, 100, 1024, 65536, 1 << 20})
          for (std::int64_t heads : {1, 40, 4096}) {
            const Device d = device(name);
            Software w;
            w.flash_kernel = kernel;
            const DeviceRates r = device_rates(d, w, Dtype::fp16, head);
            const double flop =
                4.0 * static_cast<double>(s) * static_cast<double>(s + 1) / 2 * static_cast<double>(head * heads);
            const double bytes = 8.0 * static_cast<double>(s * head * heads);
            for (bool backward : {false, true}) {
              CAPTURE(name, kernel, head, s, heads, backward);
              const double fraction = flash_fraction(kernel, d.architecture, head, backward);
              REQUIRE((fraction > 0 && fraction <= 1));
              const double t = flash_time(r, {s, s, heads, head, 128}, flop, bytes, backward).seconds;
              REQUIRE(std::isfinite(t));
              REQUIRE(t >= flop / (d.rate(Dtype::fp16).value() * fraction) * (1 - 1e-12));
              REQUIRE(t >= bytes / d.memory_bandwidth.value());
            }
          }
}

TEST_CASE("a newer generation of fused attention is never slower on the same device", "[law]") {
  for (GpuArchitecture a : {GpuArchitecture::volta, GpuArchitecture::ampere, GpuArchitecture::ada,
                            GpuArchitecture::hopper, GpuArchitecture::blackwell})
    for (std::int64_t head : {64, 128, 256})
      for (bool backward : {false, true}) {
        CAPTURE(a, head, backward);
        CHECK(flash_fraction(FlashKernel::flash_2, a, head, backward) >=
              flash_fraction(FlashKernel::flash_1, a, head, backward));
        CHECK(flash_fraction(FlashKernel::flash_3, a, head, backward) >=
              flash_fraction(FlashKernel::flash_2, a, head, backward));
      }
}

TEST_CASE("a kernel over few bytes does not reach the bandwidth, one over many does", "[law]") {
  const DeviceRates r = rates_of(device("h200"));
  const auto achieved = [&](double bytes) { return bytes * r.seconds_per_byte / stream_seconds(r, bytes); };
  const double half = r.kernel_latency_s / r.seconds_per_byte;
  CHECK(achieved(half) == Approx(0.5));
  CHECK(achieved(half / 100) < 0.02);
  CHECK(achieved(100 * half) > 0.98);
}

TEST_CASE("an eager step is bound by the host when kernels are short, a graph never", "[law]") {
  const auto step = [](const std::vector<std::string>& changes) {
    const Scenario s = load_scenario_named("gpt2-124m", "h200", DTCALC_SOURCE_DIR, changes).value();
    Details details;
    const Totals t = evaluate(s, true, &details);
    double launches = 0;
    for (const GroupItem& g : details.groups)
      if (g.group->phase != Phase::optimizer) launches += static_cast<double>(g.count) * g.kernels;
    return std::pair(t, launches);
  };
  const auto [eager, launches] =
      step({"training.sequence=16", "software.launch_overhead_s=1e-5", "software.cuda_graphs=false"});
  const double gaps = 2 * 5e-7;  // of the optimizer's two kernels
  CHECK((eager.step - eager.optimizer).value() == Approx(launches * (1e-5 + 3.5e-6) + gaps));  // nothing but launching
  const auto [graph, same] = step({"training.sequence=16", "software.cuda_graphs=true"});
  CHECK(same == launches);
  CHECK(graph.host.value() == Approx(launches * 5e-7 + gaps));  // the device's gaps
  const auto [large, few] = step({"training.micro_batch=64", "software.cuda_graphs=false"});
  CHECK(few == launches);
  CHECK(large.host.value() == Approx(few * 5e-7 + gaps));  // launches run ahead of long kernels
}

TEST_CASE("a device of unknown architecture keeps the roofline", "[law]") {
  Device d = device("a100-80-sxm");
  d.architecture = GpuArchitecture::other;
  CHECK(rates_of(d).tiles == 0);
}

TEST_CASE("measured points come back as they were measured, and between them in proportion", "[law]") {
  Device d;
  for (std::int64_t m : {64, 1024})
    for (std::int64_t k : {64, 256})
      d.products.push_back({m, 128, k, "product", FlopPerSecond(1e9 * static_cast<double>(m * k))});
  d.products.push_back({64, 4096, 64, "product", FlopPerSecond(5e9)});  // no such point at (1024, 4096, 64)
  d.products.push_back({64, 128, 64, "a law of another version", FlopPerSecond(1)});
  d.loops = {{"softmax", 4096, Seconds(4e-3)}, {"softmax", 1024, Seconds(1e-4)}, {"rope", 10, Seconds(0)}};
  const MeasuredRates r(d);
  const LawId product = law_id("product"), softmax = law_id("softmax");
  CHECK(r.product_rate(product, 64, 128, 64) == Approx(64e9 * 64));
  CHECK(r.product_rate(product, 1024, 128, 256) == Approx(1024e9 * 256));
  CHECK(r.product_rate(product, 256, 128, 128) == Approx(256e9 * 128));         // a monomial stays one
  CHECK(r.product_rate(product, 1, 1, 1) == Approx(64e9 * 64));                 // below the grid: its edge
  CHECK(r.product_rate(product, 1 << 20, 1, 1 << 20) == Approx(1024e9 * 256));  // above it
  CHECK(r.product_rate(product, 1024, 4096, 64) == 0);                          // nothing measured near
  CHECK(r.product_rate(product, 64, 4096, 64) == Approx(5e9));
  CHECK(r.product_rate(law_id("scores"), 64, 128, 64) == 0);
  CHECK(r.loop_seconds(softmax, 4096) == Approx(4e-3 / 4096));
  CHECK(r.loop_seconds(softmax, 2048) == Approx(std::sqrt(1e-4 / 1024 * 4e-3 / 4096)));
  CHECK(r.loop_seconds(softmax, 1) == Approx(1e-4 / 1024));
  CHECK(r.loop_seconds(law_id("rope"), 10) == 0);
}

TEST_CASE("a GPU's measured products correct the law: exact at the points, with the law's waves between them",
          "[law]") {
  Device d = device("h200");
  d.measured_dtype = "bf16";
  const DeviceRates rates = device_rates(d, Software{}, Dtype::bf16, 64);
  const auto law_s = [&](std::int64_t m, std::int64_t n, std::int64_t k) {
    const double bytes = 2.0 * static_cast<double>(m * k + n * k + m * n);
    return product_time(rates, m, n, k, 1, bytes, 2).seconds;
  };
  // Twice the law's time at 1024 columns, three times at 4096.
  for (const std::int64_t n : {1024, 4096})
    d.products.push_back(
        {8192, n, 2048, "product",
         FlopPerSecond(2.0 * 8192 * static_cast<double>(n) * 2048 / (law_s(8192, n, 2048) * (n == 1024 ? 2 : 3)))});
  const MeasuredRates r(d);
  const LawId product = law_id("product");
  CHECK(r.product_factor(product, 8192, 1024, 2048) == Approx(2));
  CHECK(r.product_factor(product, 8192, 2048, 2048) == Approx(std::sqrt(6.0)));
  CHECK(r.product_rate(product, 8192, 1024, 2048) == 0);
  CHECK(r.product_factor(law_id("scores"), 8192, 1024, 2048) == 0);

  // Rows of an odd length are another matter where they were measured.
  CHECK(r.product_factor(product, 8192, 1025, 2048) == Approx(2).epsilon(1e-2));
  d.products.push_back(
      {8192, 1025, 2048, "product.odd", FlopPerSecond(2.0 * 8192 * 1025 * 2048 / (law_s(8192, 1025, 2048) * 7))});
  const MeasuredRates odd(d);
  CHECK(odd.product_factor(product, 8192, 50257, 768) == Approx(7));
  CHECK(odd.product_factor(product, 8192, 1024, 2048) == Approx(2));
  d.products.pop_back();

  // A whole evaluation takes them in the dtype they were measured in, and the law in another.
  const std::vector<std::string> changes{"training.micro_batch=8"};
  Scenario s = load_scenario_named("gpt2-124m", "h200", DTCALC_SOURCE_DIR, changes).value();
  const double plain = evaluate(s, true).step.value();
  s.hardware.products = d.products;
  s.hardware.measured_dtype = "bf16";
  index_measurements(s.hardware);
  CHECK(evaluate(s, true).step.value() > 1.2 * plain);
  s.hardware.measured_dtype = "fp16";
  index_measurements(s.hardware);
  CHECK(evaluate(s, true).step.value() == plain);
}

TEST_CASE("every law that a kernel of the engine's stack can ask for has a number of its own", "[law]") {
  std::set<LawId> seen;
  for (int c = 0; c < kContracts; ++c) {
    const LawId id = law_id(info(static_cast<Contract>(c)).name);
    CHECK(id == c);
    seen.insert(id);
  }
  for (int a = 0; a < 6; ++a)
    for (bool gated : {false, true})
      for (bool backward : {false, true}) seen.insert(law_id(activation_law(a, gated, backward)));
  CHECK(seen.size() == kContracts + 24);
  CHECK_FALSE(seen.contains(kNoLaw));
  CHECK(law_id("nothing of the kind") == kNoLaw);
}
