// What `dtcalc plan` prints: layouts of a cluster, the smallest cluster of a run, the smallest replica of a service,
// each as text, JSON and table (docs/plan.md, docs/json.md).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "costmodel/plan/cluster.hpp"
#include "costmodel/plan/loss.hpp"
#include "costmodel/plan/search.hpp"
#include "costmodel/plan/serving.hpp"
#include "costmodel/report/table.hpp"

namespace dtcalc {

/// A planned layout as overrides of the scenario: `training.parallel.tensor=8`, …
std::vector<std::string> overrides(const PlannedLayout& layout);

/// What a step of the scenario takes: "64 pairs of sequences of 1024 tokens".
std::string batch_text(const Scenario& scenario);

/// `dtcalc estimate ... --set a=1 --set b=2`, over several lines with a backslash at each end, indented by two.
std::string estimate_command(const std::vector<std::string>& overrides);

/// A row per layout. `scenario` has the cluster.
report::Table layout_table(const Scenario& scenario, const std::vector<PlannedLayout>& layouts);
nlohmann::ordered_json layout_json(const Scenario& scenario, const PlannedLayout& layout);

nlohmann::ordered_json to_json(const Scenario& scenario, const SearchResult& result);
std::string to_text(const Scenario& scenario, const SearchResult& result);

/// `scenario` has the description of the cluster, whatever its number of nodes.
nlohmann::ordered_json to_json(const Scenario& scenario, const RunGoal& goal, const ClusterSearch& search);
report::Table to_table(const ClusterSearch& search);
std::string to_text(const Scenario& scenario, const RunGoal& goal, const ClusterSearch& search);

nlohmann::ordered_json to_json(const Scenario& scenario, Seconds tpot, const ReplicaSearch& search);
report::Table to_table(const ReplicaSearch& search);
std::string to_text(const Scenario& scenario, Seconds tpot, const ReplicaSearch& search);

/// `scenario` has the cluster and the model whose shape the candidates have.
nlohmann::ordered_json to_json(const Scenario& scenario, const LossGoal& goal, const LossPlan& plan);
report::Table to_table(const Scenario& scenario, const LossPlan& plan);
std::string to_text(const Scenario& scenario, const LossGoal& goal, const LossPlan& plan);

}  // namespace dtcalc
