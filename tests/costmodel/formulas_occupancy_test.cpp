// App. C and Sec. 2.6: peak rates of all device presets from their multiprocessors and clocks, occupancy of kernels,
// the blocks of flash attention.
#include "costmodel/formulas/occupancy.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "costmodel/formulas/attention.hpp"
#include "costmodel/formulas/hardware.hpp"
#include "costmodel/scenario/load.hpp"
#include "support/catch.hpp"

using namespace dtcalc;
using namespace dtcalc::formulas;

TEST_CASE("peak = multiprocessors x FLOP per cycle x clock, against the datasheet of every device preset") {
  const Folders folders{DTCALC_SOURCE_DIR, {}};
  int rates = 0;
  for (const Preset& preset : list_presets(PresetKind::hardware, DTCALC_SOURCE_DIR)) {
    const Device d = *load_device(preset.name, folders);
    if (d.kind != "gpu" || d.origin != Origin::datasheet) continue;
    REQUIRE(d.architecture != GpuArchitecture::other);
    REQUIRE(d.multiprocessors > 0);
    for (const ComputeRate& rate : d.compute) {
      std::optional<double> per_cycle = flop_per_cycle(d.architecture, rate.dtype);
      CAPTURE(preset.name, half_bytes(rate.dtype), rate.rate.value());
      REQUIRE(per_cycle);
      // GeForce: tensor cores do half of Ada's data-centre rate when they accumulate in fp32.
      if (preset.name == "rtx4090" && rate.dtype != Dtype::fp32) *per_cycle /= 2;
      // Blackwell Ultra: half as many again in fp4 (NVIDIA GB300 NVL72 datasheet: 15 of 10 PFLOP/s).
      if (preset.name == "gb300" && rate.dtype == Dtype::fp4) *per_cycle *= 1.5;
      const double n = static_cast<double>(d.multiprocessors);
      ++rates;
      if (d.clock_hz == 0) {
        // NVIDIA prints no clock for Blackwell: what the rates imply lies around the driver's 1.965 GHz.
        const double clock = rate.rate.value() / (n * *per_cycle);
        CHECK(clock > 1.8e9);
        CHECK(clock < 2.12e9);
        continue;
      }
      // Hopper's fp32 is printed at the driver's highest clock, 1.98 GHz, its tensor cores' rates at 1.83 GHz.
      const bool hopper_fp32 = d.architecture == GpuArchitecture::hopper && rate.dtype == Dtype::fp32;
      const double clock = hopper_fp32 ? 1.98e9 : d.clock_hz;
      // Datasheets round rates to two or three digits, and clocks to 10 MHz.
      CHECK(std::abs(peak_flop_rate(n, *per_cycle, clock) / rate.rate.value() - 1) < 0.012);
    }
  }
  CHECK(rates >= 40);
}

TEST_CASE("no generation has a rate in a dtype that it lacks") {
  CHECK_FALSE(flop_per_cycle(GpuArchitecture::volta, Dtype::bf16));
  CHECK_FALSE(flop_per_cycle(GpuArchitecture::ampere, Dtype::fp8));
  CHECK_FALSE(flop_per_cycle(GpuArchitecture::hopper, Dtype::fp4));
  CHECK_FALSE(flop_per_cycle(GpuArchitecture::other, Dtype::fp32));
}

TEST_CASE("occupancy is what the scarcest resource allows") {
  const MultiprocessorLimits a100 = *multiprocessor_limits(GpuArchitecture::ampere, 167936);
  const auto of = [&](std::int64_t threads, std::int64_t registers, std::int64_t shared) {
    return occupancy(a100, threads, registers, shared);
  };
  CHECK(of(256, 32, 0).blocks == 8);  // 2048 threads
  CHECK(of(256, 32, 0).share == 1);
  CHECK(of(256, 32, 0).limit == "threads");
  CHECK(of(32, 16, 0).blocks == 32);
  CHECK(of(32, 16, 0).limit == "blocks");
  CHECK(of(32, 16, 0).share == 0.5);
  CHECK(of(256, 128, 0).blocks == 2);  // 65536 / (8 warps x 4096)
  CHECK(of(256, 128, 0).limit == "registers");
  CHECK(of(256, 33, 0).blocks == 6);          // a warp takes 1280 registers, in units of 256, not 1056
  CHECK(of(256, 32, 80 * 1024).blocks == 2);  // 164 KiB, a KiB of each block for the system
  CHECK(of(256, 32, 82 * 1024).blocks == 1);
  CHECK(of(256, 32, 82 * 1024).limit == "shared memory");
  CHECK(of(256, 32, 164 * 1024).blocks == 0);
  CHECK(of(33, 32, 0).warps == 2 * of(33, 32, 0).blocks);
  // Volta takes nothing of a block's shared memory for itself; Ada holds 48 warps.
  CHECK(occupancy(*multiprocessor_limits(GpuArchitecture::volta, 98304), 128, 32, 49152).blocks == 2);
  CHECK(occupancy(*multiprocessor_limits(GpuArchitecture::ada, 102400), 512, 32, 0).blocks == 3);
  CHECK_FALSE(multiprocessor_limits(GpuArchitecture::other, 1));
}

TEST_CASE("flash attention's blocks move least of all that fit on chip") {
  for (const std::int64_t H : {64, 128, 256})
    for (const std::int64_t M : {20000, 98304, 166912, 232448})
      for (const std::int64_t S : {100, 1024, 2048}) {
        const FlashBlocks best = flash_blocks(S, H, 2, M);
        CAPTURE(H, M, S, best.R, best.C);
        std::int64_t least = INT64_MAX;
        for (std::int64_t R = 16; R <= (S + 15) / 16 * 16; R += 16)
          for (std::int64_t C = 16; C <= (S + 15) / 16 * 16; C += 16)
            if (2 * H * R + 2 * 2 * H * C + 4 * H * R + 4 * R * C + 8 * R <= M)
              least = std::min(least, attention_hbm_elems_flash(S, H, R, C, false));
        CHECK((best.R > 0) == (least < INT64_MAX));
        if (best.R == 0) continue;
        CHECK(best.elements == least);
        CHECK(best.on_chip_bytes <= M);
        CHECK(best.elements == attention_hbm_elems_flash(S, H, best.R, best.C, false));
      }
  CHECK(flash_blocks(1024, 128, 2, 1000).R == 0);
  // Sec. 2.6: keys and values come once for each of S / R blocks of queries, so that 2 R / H times less is moved.
  const FlashBlocks h100 = flash_blocks(8192, 128, 2, 232448);
  CHECK(h100.R == 256);
  CHECK(h100.elements == 2 * 8192 * 128 + 8192 + 2 * 8192 * 128 * (8192 / 256));
}
