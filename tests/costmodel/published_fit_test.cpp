// Constants fitted to published rows: the search finds what was put in, and the profiles hold what it finds.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>

#include "costmodel/published/fit.hpp"
#include "costmodel/published/fit_report.hpp"
#include "costmodel/report/estimate.hpp"
#include "costmodel/scenario/load.hpp"
#include "costmodel/scenario/presets.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

namespace dtcalc::published {
namespace {

const Folders folders{DTCALC_SOURCE_DIR, {}};

/// Twelve steps of GPT-2 in several sizes, "measured" on a stack whose constants are known.
Family invented(const Software& truth) {
  Family family;
  family.name = "invented";
  family.scenario = R"({"model": "gpt2-124m", "hardware": "a100-80-sxm", "software": "pytorch-eager"})";
  for (const int sequence : {64, 256, 1024})
    for (const int batch : {1, 4, 16, 64}) {
      Row row;
      row.id = std::to_string(sequence) + "x" + std::to_string(batch);
      row.set = {"training.sequence=" + std::to_string(sequence), "training.micro_batch=" + std::to_string(batch)};
      Scenario s = load_scenario(nlohmann::json::parse(family.scenario), folders, row.set).value();
      s.software.compute_time_factor = truth.compute_time_factor;
      s.software.memory_time_factor = truth.memory_time_factor;
      s.software.launch_overhead = truth.launch_overhead;
      row.measured = {{Figure::step, report::estimate(s).totals.step.value()}};
      family.rows.push_back(row);
    }
  return family;
}

}  // namespace

TEST_CASE("a fit finds the constants that made the rows, also of rows left out") {
  Software truth;
  truth.compute_time_factor = 1.3;
  truth.memory_time_factor = 1.8;
  truth.launch_overhead = Seconds(4e-5);
  const std::vector<Family> families{invented(truth)};
  const std::vector<Constant> constants{Constant::compute_time_factor, Constant::memory_time_factor,
                                        Constant::launch_overhead};
  const std::vector<Fit> fits = fit(families, constants, folders).value();
  REQUIRE(fits.size() == 1);
  for (const FittedConstant& c : fits[0].constants) {
    CAPTURE(name_of(c.constant));
    CHECK(c.value == Approx(value_of(c.constant, truth)).epsilon(0.02));  // residuals below 1 % weigh alike
  }
  CHECK(mean_error(fits[0], "", &FittedRow::neutral) > 0.3);
  CHECK(mean_error(fits[0], "", &FittedRow::fitted) < 0.005);
  CHECK(mean_error(fits[0], "", &FittedRow::leave_one_out) < 0.02);
}

TEST_CASE("leave-one-out predicts a row as a fit of the other rows does") {
  Software truth;
  truth.compute_time_factor = 1.3;
  Family family = invented(truth);
  const double noise[] = {0.72, 1.31, 0.9, 1.18, 0.8, 1.4, 1.07, 0.95, 1.24, 0.76, 1.12, 0.85};
  for (std::size_t i = 0; i < family.rows.size(); ++i) family.rows[i].measured[0].value *= noise[i];
  const std::vector<Constant> constants{Constant::compute_time_factor};
  const Fit all = fit(std::vector<Family>{family}, constants, folders).value().front();
  double moved = 0;
  for (std::size_t i = 0; i < all.rows.size(); ++i) {
    CAPTURE(all.rows[i].id);
    Family others = family;
    others.rows.erase(others.rows.begin() + static_cast<std::ptrdiff_t>(i));
    const Fit without = fit(std::vector<Family>{others}, constants, folders).value().front();
    Scenario s = load_scenario(nlohmann::json::parse(family.scenario), folders, family.rows[i].set).value();
    s.software.compute_time_factor = without.constants[0].value;
    // The repeated linear step and a search of its own end within the residuals that weigh alike, 1 % on either side.
    CHECK(all.rows[i].leave_one_out == Approx(report::estimate(s).totals.step.value()).epsilon(0.02));
    moved = std::max(moved, std::abs(all.rows[i].leave_one_out / all.rows[i].fitted - 1));
  }
  CHECK(moved > 0.03);
  CHECK(mean_error(all, "", &FittedRow::leave_one_out) > mean_error(all, "", &FittedRow::fitted));
}

TEST_CASE("a fit refuses too few rows and too many constants") {
  Family few = invented(Software{});
  few.rows.resize(kFewestRows - 1);
  const std::vector<Constant> one{Constant::compute_time_factor};
  CHECK_FALSE(fit(std::vector<Family>{few}, one, folders));
  CHECK_FALSE(fit(std::vector<Family>{few}, {}, folders));
  const std::vector<Constant> four{Constant::compute_time_factor, Constant::memory_time_factor,
                                   Constant::communication_time_factor, Constant::launch_overhead};
  CHECK_FALSE(fit(std::vector<Family>{invented(Software{})}, four, folders));
}

TEST_CASE(
    "fitted profiles hold what the fit of their rows gives, and at most three constants, as docs/accuracy.md lists",
    "[slow]") {
  std::map<std::string, Software> stacks;
  std::vector<Fit> all;
  for (const Preset& preset : list_presets(PresetKind::software, DTCALC_SOURCE_DIR)) {
    const std::string& name = preset.name;
    CAPTURE(name);
    const Software software = load_software(name, folders).value();
    const std::vector<Constant> constants = fitted_constants(software);
    if (software.fitted_on.empty()) {
      CHECK(
          std::none_of(constants.begin(), constants.end(), [](Constant c) { return c != Constant::launch_overhead; }));
      continue;
    }
    CHECK(static_cast<int>(constants.size()) <= kMostConstants);
    const auto [other, first] = stacks.emplace(stack_of(software), software);
    for (const Constant c : constants) CHECK(value_of(c, other->second) == value_of(c, software));
    if (!first) continue;
    std::vector<std::string> names;
    for (std::size_t at = 0; at < software.fitted_on.size();) {
      const std::size_t end = std::min(software.fitted_on.find(' ', at), software.fitted_on.size());
      names.push_back(software.fitted_on.substr(at, end - at));
      at = end + 1;
    }
    const std::vector<Fit> fits = fit(load_families(names, folders).value(), constants, folders).value();
    const auto mine =
        std::find_if(fits.begin(), fits.end(), [&](const Fit& f) { return f.stack == stack_of(software); });
    REQUIRE(mine != fits.end());
    for (const FittedConstant& c : mine->constants) {
      CAPTURE(name_of(c.constant));
      CHECK(value_of(c.constant, software) == Approx(c.value).epsilon(0.01));  // profiles round to three digits or more
    }
    all.push_back(*mine);
  }
  const std::string page = std::string(DTCALC_SOURCE_DIR) + "/docs/accuracy.md", open = "<!-- table: fits -->\n";
  std::string text = test::read_bytes(page);
  const std::size_t from = text.find(open) + open.size();
  text.replace(from, text.find("<!-- end -->", from) - from, markdown(all));
  if (std::getenv("DTCALC_APPROVE") != nullptr) test::write_bytes(page, text);
  CHECK(test::read_bytes(page) == text);
}

}  // namespace dtcalc::published
