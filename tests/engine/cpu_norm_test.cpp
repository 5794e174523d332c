// LayerNorm and RMSNorm against (1.1) with E01 written out; gradients against finite differences.
#include "engine/cpu/norm.hpp"

#include "engine/cpu_support.hpp"

namespace dtcalc::cpu::test {
namespace {

struct NormCase {
  NormOptions options;
  std::int64_t rows, hidden;
  bool delta, gamma, beta;
};

std::vector<NormCase> cases() {
  std::vector<NormCase> all;
  for (const Norm kind : {Norm::layer_norm, Norm::rms_norm}) {
    all.push_back({{kind, 1e-5, false}, 1, 3, false, true, true});
    all.push_back({{kind, 1e-5, false}, 17, 65, true, true, true});
    all.push_back({{kind, 1e-6, true}, 100, 80, true, true, false});
    all.push_back({{kind, 1e-5, false}, 3, 700, false, false, false});
  }
  return all;
}

struct Operands {
  std::vector<double> x, delta, gamma, beta, dy;
};
Operands operands(const NormCase& c) {
  const std::int64_t count = c.rows * c.hidden;
  return {random_values(count, 1), random_values(count, 2), random_values(c.hidden, 3), random_values(c.hidden, 4),
          random_values(count, 5)};
}

template <class T>
struct Forward {
  std::vector<T> residual, y, mean, rstd;
};

Forward<double> twin(const NormCase& c, const Operands& o) {
  Forward<double> f;
  for (std::int64_t row = 0; row < c.rows; ++row) {
    std::vector<double> z;
    double mean = 0, variance = 0;
    for (std::int64_t d = 0; d < c.hidden; ++d) {
      const auto at = static_cast<std::size_t>(row * c.hidden + d);
      z.push_back(o.x[at] + (c.delta ? o.delta[at] : 0));
      mean += z.back() / static_cast<double>(c.hidden);
    }
    if (c.options.kind == Norm::rms_norm) mean = 0;
    for (const double value : z) variance += (value - mean) * (value - mean) / static_cast<double>(c.hidden);
    const double rstd = 1 / std::sqrt(variance + c.options.epsilon);
    for (std::size_t d = 0; d < z.size(); ++d) {
      const double gamma = c.gamma ? o.gamma[d] + (c.options.weight_offset ? 1 : 0) : 1;
      f.residual.push_back(z[d]);
      f.y.push_back((z[d] - mean) * rstd * gamma + (c.beta ? o.beta[d] : 0));
    }
    f.mean.push_back(mean);
    f.rstd.push_back(rstd);
  }
  return f;
}

template <class T>
Forward<T> forward(Team& team, const NormCase& c, const Operands& o) {
  Context context = team.context();
  const auto x = converted<T>(o.x), delta = converted<T>(o.delta), gamma = converted<T>(o.gamma),
             beta = converted<T>(o.beta);
  const std::vector<T> statistics(static_cast<std::size_t>(c.rows));
  Forward<T> f{x, x, statistics, statistics};
  residual_norm_forward(context, c.options, c.rows, c.hidden, x.data(), c.delta ? delta.data() : nullptr,
                        f.residual.data(), c.gamma ? gamma.data() : nullptr, c.beta ? beta.data() : nullptr, f.y.data(),
                        f.mean.data(), f.rstd.data());
  return f;
}

}  // namespace

TEST_CASE("norms equal their definition", "[engine][norm]") {
  Team team(3);
  for (const NormCase& c : cases()) {
    CAPTURE(static_cast<int>(c.options.kind), c.rows, c.hidden);
    const Operands o = operands(c);
    const auto expected = twin(c, o);
    // Sums of `hidden` terms, in float by lanes; a few operations after them.
    const auto got = forward<double>(team, c, o);
    const double bound = rounding<double>(c.hidden + 10);
    CHECK(distance(got.residual, expected.residual) <= rounding<double>(1));
    CHECK(distance(got.y, expected.y) < bound);
    CHECK(error(got.mean, expected.mean) < bound);
    CHECK(distance(got.rstd, expected.rstd) < bound);
    const auto single = forward<float>(team, c, o);
    CHECK(distance(single.y, expected.y) < rounding<float>(c.hidden + 10));
    CHECK(distance(single.rstd, expected.rstd) < rounding<float>(c.hidden + 10));
  }
}

TEST_CASE("a norm works in place and without outputs nobody wants", "[engine][norm]") {
  Team team(2);
  Context context = team.context();
  const NormCase c = cases().at(1);
  const Operands o = operands(c);
  const auto apart = forward<double>(team, c, o);
  const auto run = [&](const double* x, const double* delta, double* residual, double* y) {
    residual_norm_forward<double>(context, c.options, c.rows, c.hidden, x, delta, residual, o.gamma.data(),
                                  o.beta.data(), y, nullptr, nullptr);
  };
  auto x = o.x, delta = o.delta, y = o.x;
  run(x.data(), delta.data(), x.data(), delta.data());  // residual over x, output over delta
  CHECK(x == apart.residual);
  CHECK(delta == apart.y);
  run(apart.residual.data(), nullptr, nullptr, y.data());  // the norm alone
  CHECK(y == apart.y);
  x = apart.residual;
  run(x.data(), nullptr, nullptr, x.data());  // over its own input
  CHECK(x == apart.y);
  run(apart.residual.data(), nullptr, x.data(), y.data());  // a copy of the residual
  CHECK(x == apart.residual);
}

TEST_CASE("gradients of norms equal finite differences", "[engine][norm]") {
  for (const NormCase& c : cases()) {
    CAPTURE(static_cast<int>(c.options.kind), c.rows, c.hidden);
    const Operands o = operands(c);
    Team team(3, norm_backward_workspace_bytes<double>(c.rows, c.hidden));
    Context context = team.context();
    const auto f = forward<double>(team, c, o);
    std::vector<double> dx(o.x.size()), dgamma(o.gamma.size()), dbeta(o.beta.size());
    norm_backward(context, c.options, c.rows, c.hidden, o.dy.data(), f.residual.data(),
                  c.gamma ? o.gamma.data() : nullptr, c.options.kind == Norm::rms_norm ? nullptr : f.mean.data(),
                  f.rstd.data(), dx.data(), false, c.gamma ? dgamma.data() : nullptr, c.beta ? dbeta.data() : nullptr);
    const auto loss = [&](auto member) {
      return [&, member](const std::vector<double>& moved) {
        Operands changed = o;
        changed.*member = moved;
        return dot(o.dy, forward<double>(team, c, changed).y);
      };
    };
    require_gradient(loss(&Operands::x), o.x, dx);
    if (c.gamma) require_gradient(loss(&Operands::gamma), o.gamma, dgamma);
    if (c.beta) require_gradient(loss(&Operands::beta), o.beta, dbeta);

    // Accumulating adds the same, in place gives the same, float stays within the rounding of its sums.
    std::vector<double> twice = dx, in_place = o.dy;
    const auto run = [&](const std::vector<double>& dy, double* out, bool accumulate, double* weight, double* bias) {
      norm_backward(context, c.options, c.rows, c.hidden, dy.data(), f.residual.data(),
                    c.gamma ? o.gamma.data() : nullptr, c.options.kind == Norm::rms_norm ? nullptr : f.mean.data(),
                    f.rstd.data(), out, accumulate, c.gamma ? weight : nullptr, c.beta ? bias : nullptr);
    };
    auto dgamma2 = dgamma, dbeta2 = dbeta;
    run(o.dy, twice.data(), true, dgamma2.data(), dbeta2.data());
    run(in_place, in_place.data(), false, nullptr, nullptr);
    CHECK(in_place == dx);
    for (double& value : dx) value *= 2;
    for (double& value : dgamma) value *= 2;
    for (double& value : dbeta) value *= 2;
    CHECK(distance(twice, dx) <= rounding<double>(4));
    if (c.gamma) CHECK(distance(dgamma2, dgamma) <= rounding<double>(c.rows));
    if (c.beta) CHECK(distance(dbeta2, dbeta) <= rounding<double>(c.rows));

    const auto g = forward<float>(team, c, o);
    const auto dy = converted<float>(o.dy), gamma = converted<float>(o.gamma);
    std::vector<float> dx_single(dy.size()), dgamma_single(gamma.size());
    norm_backward(context, c.options, c.rows, c.hidden, dy.data(), g.residual.data(), c.gamma ? gamma.data() : nullptr,
                  c.options.kind == Norm::rms_norm ? nullptr : g.mean.data(), g.rstd.data(), dx_single.data(), false,
                  c.gamma ? dgamma_single.data() : nullptr, static_cast<float*>(nullptr));
    for (double& value : dx) value /= 2;
    for (double& value : dgamma) value /= 2;
    CHECK(distance(dx_single, dx) < rounding<float>(2 * c.hidden + 20));
    if (c.gamma) CHECK(distance(dgamma_single, dgamma) < rounding<float>(c.rows + c.hidden + 20));
  }
}

TEST_CASE("norm gradients have the same bits on any number of threads", "[engine][norm]") {
  const NormCase c{{Norm::layer_norm, 1e-5, false}, 301, 96, false, true, true};
  const Operands o = operands(c);
  std::vector<std::vector<double>> results;
  for (const int threads : {1, 2, 5}) {
    Team team(threads, norm_backward_workspace_bytes<double>(c.rows, c.hidden));
    Context context = team.context();
    const auto f = forward<double>(team, c, o);
    std::vector<double> dx(o.x.size()), dgamma(o.gamma.size()), dbeta(o.beta.size());
    norm_backward(context, c.options, c.rows, c.hidden, o.dy.data(), f.residual.data(), o.gamma.data(), f.mean.data(),
                  f.rstd.data(), dx.data(), false, dgamma.data(), dbeta.data());
    dx.insert(dx.end(), dgamma.begin(), dgamma.end());
    dx.insert(dx.end(), dbeta.begin(), dbeta.end());
    results.push_back(dx);
  }
  CHECK(results[0] == results[1]);
  CHECK(results[0] == results[2]);
}

}  // namespace dtcalc::cpu::test
