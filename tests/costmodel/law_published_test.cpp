// The laws of time beside measured kernels: GEMM, attention and memory-bound kernels of public sources in the folder
// DTCALC_DATA. docs/time.md prints the errors; a family that gets worse than recorded there fails.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "costmodel/evaluate/attention_law.hpp"
#include "costmodel/evaluate/sizes.hpp"
#include "costmodel/scenario/json_text.hpp"
#include "costmodel/scenario/load.hpp"
#include "support/catch.hpp"

using namespace dtcalc;
using nlohmann::json;

namespace {

/// Mean absolute percentage error and bias of the predictions of one family.
struct Family {
  std::vector<double> errors;
  double mape() const {
    double sum = 0;
    for (double e : errors) sum += std::abs(e);
    return 100 * sum / static_cast<double>(errors.size());
  }
  double bias() const {
    double sum = 0;
    for (double e : errors) sum += e;
    return 100 * sum / static_cast<double>(errors.size());
  }
};
using Families = std::map<std::string, Family>;

DeviceRates rates(const std::string& gpu, FlashKernel flash = FlashKernel::flash_2, std::int64_t head_size = 128) {
  const Device d =
      load_device(gpu.find("A100") != std::string::npos ? "a100-80-sxm" : "h100", {DTCALC_SOURCE_DIR, {}}).value();
  Software w;
  w.flash_kernel = flash;
  return device_rates(d, w, Dtype::fp16, head_size);
}

double product_s(const DeviceRates& r, std::int64_t m, std::int64_t n, std::int64_t k) {
  return product_time(r, m, n, k, 1, 2.0 * static_cast<double>(m * k + k * n + m * n), 2).seconds;
}

void add(Families& families, const std::string& name, double predicted, double measured) {
  families[name].errors.push_back(predicted / measured - 1);
}

/// Products and small kernels of one layer, by tokens (vidur, CUPTI times).
void layer_kernels(Families& families, const json& row) {
  const std::string gpu = row["hardware"]["gpu"];
  const DeviceRates r = rates(gpu);
  const json& m = row["model"];
  const json& t = row["measured"];
  const std::int64_t ranks = row["parallelism"]["T"], tokens = row["batch"]["num_tokens"], d = m["D"], f = m["ffn"];
  const std::int64_t head = d / m["A"].get<std::int64_t>();
  const std::int64_t qkv = (m["A"].get<std::int64_t>() + 2 * m["kv"].get<std::int64_t>()) * head / ranks;
  const std::string at = gpu.substr(0, 4), size = tokens <= 64 ? "1-64" : tokens <= 256 ? "128-256" : "512-4096";
  const auto product = [&](const char* key, std::int64_t n, std::int64_t k) {
    if (t.contains(key) && t[key].is_number())
      add(families, "GEMM, vidur " + at + ", " + size + " tokens", product_s(r, tokens, n, k),
          1e-3 * t[key].get<double>());
  };
  product("qkv_proj_ms", qkv, d);
  product("out_proj_ms", d, d / ranks);
  product("mlp_up_gate_ms", 2 * f / ranks, d);
  product("mlp_down_ms", d, f / ranks);
  const auto stream = [&](const char* key, const std::string& kernel, std::int64_t elements) {
    if (t.contains(key) && t[key].is_number())
      add(families, kernel + ", vidur " + at, stream_seconds(r, 2.0 * static_cast<double>(elements)),
          1e-3 * t[key].get<double>());
  };
  if (tokens < 512) return;  // below, the figures are whole microseconds of latency
  stream("mlp_act_ms", "activation and gate", 3 * tokens * f / ranks);
  stream("residual_add_ms", "residual addition", 3 * tokens * d);
}

void kernel_rows(Families& families, const json& rows) {
  for (const json& row : rows) {
    const std::string id = row["id"], system = row["system"];
    const json& m = row["model"];
    if (system == "cuBLAS via PyTorch") {
      // Below 50 us the time of these figures is the host's, synchronised around every call.
      const double measured = 1e-3 * row["measured"]["latency_ms"].get<double>();
      if (measured > 50e-6)
        add(families, "GEMM, LLMCompass A100", product_s(rates("A100"), m["M"], m["N"], m["K"]), measured);
    } else if (id.starts_with("vidur")) {
      layer_kernels(families, row);
    } else if (row["measured"].contains("giga_elements_per_s")) {
      double elements = 1;
      for (const json& extent : m["shape"]) elements *= extent.get<double>();
      const double measured = elements / (1e9 * row["measured"]["giga_elements_per_s"].get<double>());
      if (measured > 250e-6)  // the host's synchronisation takes some 50 us of each
        add(families, m["name"].get<std::string>() + ", LLMCompass A100", stream_seconds(rates("A100"), 4 * elements),
            measured);
    }
  }
}

void attention_rows(Families& families, const json& rows) {
  const std::map<std::string, FlashKernel> kernels{
      {"FA2", FlashKernel::flash_2}, {"FA3", FlashKernel::flash_3}, {"cuDNN", FlashKernel::cudnn}};
  for (const json& row : rows) {
    const std::string system = row["system"], notes = row["notes"].is_string() ? row["notes"] : json("");
    const auto kernel = kernels.find(system.substr(0, system.find(' ')));
    if (kernel == kernels.end() || row["kind"] != "kernel" || !row["measured"]["kernel_TFLOPs"].is_number()) continue;
    if (system.find("ablation") != std::string::npos || notes.find("ambiguous") != std::string::npos) continue;
    const json& m = row["model"];
    const std::int64_t head = m["head_dim"], s = m["S"];
    const std::int64_t heads = m["A"].get<std::int64_t>() * row["batch"]["batch"].get<std::int64_t>();
    const bool causal = m["causal"], forward = notes.find("backward only") == std::string::npos;
    const bool backward = notes.find("forward only") == std::string::npos;
    const DeviceRates r = rates(row["hardware"]["gpu"], kernel->second, head);
    const double per_pair = 2.0 * static_cast<double>(head * heads), all = static_cast<double>(s * s);
    const double tiles = static_cast<double>(flash_pairs(s, s, 128, 128, causal, 0));
    const double operand = 2.0 * static_cast<double>(s * head * heads);
    double predicted = 0, counted = 0;
    const FlashShape shape{s, s, heads, head, 128};
    if (forward) {
      predicted += flash_time(r, shape, 2 * per_pair * tiles, 4 * operand, false).seconds;
      counted += 2 * per_pair * all * (causal ? 0.5 : 1);
    }
    if (backward) {
      predicted += flash_time(r, shape, 5 * per_pair * tiles, 8 * operand, true).seconds;
      counted += 5 * per_pair * all * (causal ? 0.5 : 1);
    }
    const std::string gpu = row["hardware"]["gpu"];
    add(families, "attention, " + kernel->first + " " + gpu.substr(0, 4), predicted,
        counted / (1e12 * row["measured"]["kernel_TFLOPs"].get<double>()));
  }
}

/// The table of docs/time.md: mean absolute percentage error by family.
std::map<std::string, double> recorded() {
  std::ifstream page(std::filesystem::path(DTCALC_SOURCE_DIR) / "docs" / "time.md");
  std::map<std::string, double> table;
  bool inside = false;
  for (std::string line; std::getline(page, line);) {
    if (line == "<!-- measured -->") inside = true;
    if (line == "<!-- end -->") inside = false;
    std::vector<std::string> cells;
    std::istringstream row(line);
    for (std::string cell; std::getline(row, cell, '|');) cells.push_back(cell);
    if (inside && cells.size() == 5 && cells[3].find('%') != std::string::npos)
      table[cells[1].substr(1, cells[1].size() - 2)] = std::stod(cells[3]);
  }
  return table;
}

}  // namespace

TEST_CASE("the laws of time stay as near to measured kernels as recorded", "[law]") {
  const char* folder = std::getenv("DTCALC_DATA");
  if (folder == nullptr || *folder == '\0') DTCALC_SKIP("measured kernels: skipped, DTCALC_DATA not set");
  const auto rows = [&](const char* file) {
    return read_json_file(std::filesystem::path(folder) / "measured" / file).value()["rows"];
  };
  const std::map<std::string, double> page = recorded();
  Families families;
  kernel_rows(families, rows("kernels.json"));
  attention_rows(families, rows("flash_attention.json"));
  for (const auto& [name, family] : families) {
    std::printf("%-40s %4zu rows, MAPE %5.1f %%, bias %+6.1f %%\n", name.c_str(), family.errors.size(), family.mape(),
                family.bias());
    CAPTURE(name);
    REQUIRE(page.contains(name));
    CHECK(family.mape() <= page.at(name) + 0.05);  // the page shows one decimal
  }
  CHECK(families.size() == page.size());
}
