// `dtcalc roofline`: flash attention's blocks, the occupancy of a kernel, wrong input.
#include <algorithm>

#include "cli/documented.hpp"
#include "cli/program.hpp"

using namespace dtcalc::test;
using nlohmann::json;

TEST_CASE("roofline says which blocks of flash attention fit on chip and what they move", "[cli]") {
  const json r = dtcalc_json({"roofline", "--model", "llama2-7b", "--hardware", "a100-80-sxm"});
  const json& flash = r["flash"];
  CHECK(flash["on_chip_bytes"] == 163 * 1024);
  CHECK(flash["used_bytes"] <= flash["on_chip_bytes"]);
  CHECK(flash["moved_bytes"].get<double>() < flash["stored_scores_bytes"].get<double>() / 2);
  CHECK(flash["sequence"] == 4096);
  check_documented(r);
  CHECK_FALSE(dtcalc_json({"roofline", "--model", "gpt2-124m", "--hardware", "cpu-2-cores"}).contains("flash"));
}

TEST_CASE("roofline --kernel counts the blocks that a multiprocessor holds", "[cli]") {
  const json o = dtcalc_json({"roofline", "--hardware", "h100", "--kernel", "threads=256,registers=128,shared=48KiB"});
  CHECK(o["blocks"] == 2);
  CHECK(o["limit"] == "registers");
  CHECK(o["occupancy"] == 0.25);
  REQUIRE(o["peaks"].size() == 5);
  check_documented(o);
  CHECK(dtcalc_json({"roofline", "--hardware", "h100", "--kernel", "registers=32,threads=64"})["blocks"] == 32);
  const ProcessResult text = run_dtcalc({"roofline", "--hardware", "l4", "--kernel", "threads=1024,registers=255"});
  CHECK_THAT(text.output, Catch::Matchers::ContainsSubstring("not even one block fits"));
}

TEST_CASE("roofline names what is wrong with a kernel's shape", "[cli]") {
  const auto refuse = [](const char* shape, const std::vector<std::string>& words) {
    require_failure({"roofline", "--hardware", "h100", "--kernel", shape}, 2, words);
  };
  refuse("threads=2048,registers=32", {"--kernel threads", "above 1024"});
  refuse("threads=1.5,registers=32", {"whole number"});
  refuse("threads=256", {"lacks threads or registers"});
  refuse("threads=256,registers=32,shared=x", {"--kernel shared: x"});
  refuse("warps=4", {"use threads=, registers= and shared="});
  require_failure({"roofline", "--kernel", "threads=256,registers=32"}, 2, {"--hardware"});
  require_failure({"roofline", "--hardware", "cpu-2-cores", "--kernel", "threads=256,registers=32"}, 2,
                  {"cpu-2-cores"});
}
