// The graph's own sums, summand by summand: what stands before the closed forms in `dtcalc explain`. Called by the
// tables of quantities. The summands of a quantity add up to the figure of `estimate`.
#pragma once

#include <vector>

#include "costmodel/report/evaluated.hpp"
#include "costmodel/report/explain.hpp"

namespace dtcalc::report {

using Summands = std::vector<Summand>;

/// A figure that is one finding, with the product behind it if there is one.
Summands one(const char* name, const char* formula, double value);

enum class Counted : unsigned char { all, trained, embedding };
/// Tensors of the whole models by name, in the notes' letters.
Summands parameter_summands(const Evaluated& e, Counted counted);
/// The same of one layer.
Summands layer_summands(const Evaluated& e);
/// The same on one device of the stage where memory peaks.
Summands device_summands(const Evaluated& e);

/// Tensors saved between the passes on the peak's stage, of all towers that keep them at the same time.
Summands saved_summands(const Evaluated& e);

/// Model FLOPs by logical product, in a step on all devices.
Summands product_summands(const Evaluated& e, bool forward, bool backward);
/// Executed FLOPs by group of kernels, in a step on all devices; `recomputed`: those of the recompute phase alone.
Summands executed_summands(const Evaluated& e, bool recomputed);

enum class Part : unsigned char { compute, optimizer, launches };
/// Seconds by group of kernels on the slowest stage, in a step.
Summands time_summands(const Evaluated& e, Part part);
/// Seconds by group of kernels of one tower with launches and exposed communication.
Summands group_summands(const EvaluatedTower& tower);

}  // namespace dtcalc::report
