// engine/io/safetensors: bytes equal to the reference implementation's, and a clear error for every hostile header.
#include "engine/io/safetensors.hpp"

#include <fmt/core.h>

#include <array>
#include <cstring>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace dtcalc;
using namespace dtcalc::safetensors;
using dtcalc::test::TemporaryFolder;

namespace {

template <class T>
std::span<const std::byte> bytes_of(const T& values) {
  return std::as_bytes(std::span(values));
}

std::string with_length(const std::string& header, std::string_view data = "") {
  const std::uint64_t length = header.size();
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  return file + header + std::string(data);
}

Result<Index> parse(const std::string& file) {
  return parse_index(std::as_bytes(std::span(file.data(), file.size())), file.size(), "x.safetensors");
}

std::string refusal(const std::string& file) {
  const Result<Index> index = parse(file);
  REQUIRE_FALSE(index);
  REQUIRE(index.errors().size() == 1);
  CHECK(index.errors().front().place.starts_with("x.safetensors"));
  return describe(index.errors());
}

std::string refusal_of_header(const std::string& header, std::size_t data_bytes = 0) {
  return refusal(with_length(header, std::string(data_bytes, '\0')));
}

struct Collected {
  std::string file;
  std::vector<std::string> pieces;
};

Collected collect(std::span<const TensorView> tensors, const std::map<std::string, std::string>& metadata) {
  Collected result;
  const auto sink = [&](std::string_view piece, std::span<const std::byte> bytes) -> std::optional<Error> {
    result.pieces.emplace_back(piece);
    result.file.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return std::nullopt;
  };
  REQUIRE_FALSE(write(sink, tensors, metadata));
  return result;
}

// The values that were given to the reference implementation (PyPI safetensors 0.8.0 with numpy 2.4.6:
// safetensors.numpy.save(tensors, {"format": "np"})) and what it wrote.
struct Reference {
  std::array<float, 6> weight{1.5F, -2.0F, 0.25F, 3.0F, 4.0F, -0.5F};
  std::array<double, 2> bias{0.1, 3.141592653589793};
  std::array<std::uint8_t, 3> mask{1, 0, 1};
  std::array<std::int64_t, 1> step{7};
  std::array<std::uint16_t, 2> half{0x3C00, 0x7BFF};  // 1 and 65504
  std::array<std::int32_t, 2> ids{-1, 2};
  std::array<std::uint8_t, 2> bytes{1, 255};

  std::vector<TensorView> tensors() const {
    return {{"weight", Type::f32, {2, 3}, bytes_of(weight)}, {"bias", Type::f64, {2}, bytes_of(bias)},
            {"mask", Type::boolean, {3}, bytes_of(mask)},    {"step", Type::i64, {}, bytes_of(step)},
            {"half", Type::f16, {2}, bytes_of(half)},        {"ids", Type::i32, {2}, bytes_of(ids)},
            {"bytes", Type::u8, {2}, bytes_of(bytes)},       {"empty", Type::f32, {0, 4}, {}}};
  }
};

constexpr const char* reference_header =
    R"({"__metadata__":{"format":"np"},"step":{"dtype":"I64","shape":[],"data_offsets":[0,8]},)"
    R"("bias":{"dtype":"F64","shape":[2],"data_offsets":[8,24]},"empty":{"dtype":"F32","shape":[0,4],"data_offsets":[24,24]},)"
    R"("weight":{"dtype":"F32","shape":[2,3],"data_offsets":[24,48]},"ids":{"dtype":"I32","shape":[2],"data_offsets":[48,56]},)"
    R"("half":{"dtype":"F16","shape":[2],"data_offsets":[56,60]},"bytes":{"dtype":"U8","shape":[2],"data_offsets":[60,62]},)"
    R"("mask":{"dtype":"BOOL","shape":[3],"data_offsets":[62,65]}}     )";
constexpr const char* reference_data =
    "07000000000000009a9999999999b93f182d4454fb2109400000c03f000000c00000803e0000404000008040000000bfffffffff02000000"
    "003cff7b01ff010001";

std::string reference_file() {
  std::string data;
  for (std::string_view hex = reference_data; !hex.empty(); hex.remove_prefix(2)) {
    data.push_back(static_cast<char>(std::stoi(std::string(hex.substr(0, 2)), nullptr, 16)));
  }
  return with_length(reference_header, data);
}

}  // namespace

TEST_CASE("safetensors: the writer's bytes are the reference implementation's") {
  const Reference reference;
  const Collected written = collect(reference.tensors(), {{"format", "np"}});
  CHECK(written.file == reference_file());
  CHECK(written.pieces ==
        std::vector<std::string>{"", "step", "bias", "empty", "weight", "ids", "half", "bytes", "mask"});
}

TEST_CASE("safetensors: the reader reads the reference implementation's file") {
  const TemporaryFolder folder;
  test::write_bytes(folder.path() / "a.safetensors", reference_file());
  const Result<Reader> reader = Reader::open(folder.path() / "a.safetensors");
  REQUIRE(reader);
  CHECK(reader->index().metadata == std::map<std::string, std::string>{{"format", "np"}});
  CHECK(reader->index().entries.size() == 8);
  const Reference reference;
  for (const TensorView& tensor : reference.tensors()) {
    CAPTURE(tensor.name);
    std::vector<std::byte> data(tensor.data.size());
    REQUIRE_FALSE(reader->read({tensor.name, tensor.type, tensor.shape, data}));
    CHECK(std::equal(data.begin(), data.end(), tensor.data.begin(), tensor.data.end()));
  }
  const auto missing = reader->read({"weigth", Type::f32, {2, 3}, {}});
  REQUIRE(missing);
  CHECK_THAT(describe(*missing), Catch::Matchers::ContainsSubstring("tensor \"weigth\": is not in the file"));
  std::array<float, 6> turned{};
  const auto other_shape = reader->read({"weight", Type::f32, {3, 2}, std::as_writable_bytes(std::span(turned))});
  REQUIRE(other_shape);
  CHECK_THAT(describe(*other_shape),
             Catch::Matchers::ContainsSubstring("\"weight\": F32 [2, 3] does not match the model's F32 [3, 2]"));
}

TEST_CASE("safetensors: no tensors at all is a file") {
  const Collected written = collect({}, {});
  CHECK(written.file == with_length("{}      "));
  CHECK(parse(written.file)->entries.empty());
}

TEST_CASE("safetensors: names with quotes, spaces and other scripts come back") {
  const std::array<float, 1> one{1};
  const std::vector<TensorView> tensors{{"a \"b\"\n\\", Type::f32, {1}, bytes_of(one)},
                                        {"\xC3\xA4", Type::f32, {1}, bytes_of(one)}};
  const Result<Index> index = parse(collect(tensors, {{"k\"", "v\n"}}).file);
  REQUIRE(index);
  CHECK(index->entries[0].name == "a \"b\"\n\\");
  CHECK(index->entries[1].name == "\xC3\xA4");
  CHECK(index->metadata.at("k\"") == "v\n");
}

TEST_CASE("safetensors: the writer refuses what no reader could take") {
  const std::array<float, 1> one{1};
  const auto sink = [](std::string_view, std::span<const std::byte>) -> std::optional<Error> { return std::nullopt; };
  const TensorView good{"a", Type::f32, {1}, bytes_of(one)};
  const auto refuses = [&](const TensorView& tensor) {
    return write(sink, std::vector<TensorView>{good, tensor}, {}).has_value();
  };
  CHECK_FALSE(refuses({"b", Type::f32, {1}, bytes_of(one)}));
  CHECK(refuses({"a", Type::f32, {1}, bytes_of(one)}));
  CHECK(refuses({"__metadata__", Type::f32, {1}, bytes_of(one)}));
  CHECK(refuses({"b", Type::f32, {2}, bytes_of(one)}));
  CHECK(refuses({"b", Type::f32, {-1}, bytes_of(one)}));
  CHECK(refuses({"\xFF", Type::f32, {1}, bytes_of(one)}));
}

TEST_CASE("safetensors: the sink's error ends the writing") {
  const Reference reference;
  int calls = 0;
  const auto sink = [&](std::string_view piece, std::span<const std::byte>) -> std::optional<Error> {
    ++calls;
    if (piece == "bias") return Error{"disk", "", "is full", ""};
    return std::nullopt;
  };
  const auto error = write(sink, reference.tensors(), {});
  REQUIRE(error);
  CHECK(error->reason == "is full");
  CHECK(calls == 3);  // header, step, bias
}

TEST_CASE("safetensors: hostile headers are refused with place and reason") {
  using Catch::Matchers::ContainsSubstring;
  const std::string good = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  REQUIRE(parse(with_length(good, "12345678")));

  SECTION("length") {
    CHECK_THAT(refusal(""), ContainsSubstring("not even the 8"));
    CHECK_THAT(refusal("1234567"), ContainsSubstring("not even the 8"));
    CHECK_THAT(refusal(std::string(8, '\0')), ContainsSubstring("does not begin with {"));
    CHECK_THAT(refusal(std::string("\x03\0\0\0\0\0\0\0{}", 10)), ContainsSubstring("beyond the file's 10 bytes"));
    CHECK_THAT(refusal(std::string(8, '\xFF') + "{}"), ContainsSubstring("beyond the format's limit"));
    CHECK_THAT(refusal(std::string("\x01\xE1\xF5\x05\0\0\0\0{}", 10)), ContainsSubstring("beyond the format's limit"));
  }
  SECTION("not JSON or not this JSON") {
    CHECK_THAT(refusal_of_header(" {}"), ContainsSubstring("does not begin with {"));
    CHECK_THAT(refusal_of_header("[]"), ContainsSubstring("does not begin with {"));
    CHECK_THAT(refusal_of_header("{"), ContainsSubstring("is not JSON"));
    CHECK_THAT(refusal_of_header("{}{}"), ContainsSubstring("is not JSON"));
    CHECK_THAT(refusal_of_header(std::string("{}\0\0", 4)), ContainsSubstring("is not JSON"));
    CHECK_THAT(refusal_of_header("{\"\xFF\":1}"), ContainsSubstring("is not JSON"));
    CHECK_THAT(refusal_of_header(R"({"a":5})"), ContainsSubstring("number where none may be in tensor \"a\""));
    CHECK_THAT(refusal_of_header(R"({"a":null})"), ContainsSubstring("null"));
    CHECK_THAT(refusal_of_header(R"({"a":true})"), ContainsSubstring("boolean"));
    CHECK_THAT(refusal_of_header(R"({"a":[1]})"), ContainsSubstring("array where none may be"));
    CHECK_THAT(refusal_of_header(R"({"a":"b"})"), ContainsSubstring("string where none may be"));
    CHECK_THAT(refusal_of_header(R"({"a":{"dtype":{}}})"), ContainsSubstring("object where none may be"));
    CHECK_THAT(refusal_of_header(R"({"a":{"shape":[[1]]}})"), ContainsSubstring("array where none may be"));
    CHECK_THAT(refusal_of_header(R"({"a":{"shape":[-1]}})"), ContainsSubstring("negative number -1 in tensor \"a\""));
    CHECK_THAT(refusal_of_header(R"({"a":{"shape":[1.0]}})"), ContainsSubstring("has 1.0 where a whole number"));
    CHECK_THAT(refusal_of_header(R"({"a":{"shape":[18446744073709551616]}})"), ContainsSubstring("below 2^64"));
    CHECK_THAT(refusal_of_header(R"({"a":{"data_offsets":[0,1,2]}})"), ContainsSubstring("number where none may be"));
    CHECK_THAT(refusal_of_header(R"({"a":{"stride":[1]}})"), ContainsSubstring("unknown or repeated key \"stride\""));
    CHECK_THAT(refusal_of_header(R"({"a":{"dtype":"F32","dtype":"F32"}})"), ContainsSubstring("repeated key"));
    CHECK_THAT(refusal_of_header(R"({"__metadata__":{"a":1}})"), ContainsSubstring("number where none may be"));
    CHECK_THAT(refusal_of_header(R"({"__metadata__":{"a":"1","a":"2"}})"), ContainsSubstring("\"a\" twice"));
    CHECK_THAT(refusal_of_header(R"({"__metadata__":{},"__metadata__":{}})"), ContainsSubstring("twice"));
    CHECK_THAT(refusal_of_header(R"({"a":{"dtype":"F32","shape":[],"data_offsets":[0]}})"),
               ContainsSubstring("lacks dtype, shape or data_offsets"));
    CHECK_THAT(refusal_of_header(R"({"a":{}})"), ContainsSubstring("tensor \"a\": lacks"));
    // A hundred thousand open brackets: refused at the first, without recursion.
    CHECK_THAT(refusal_of_header("{\"a\":" + std::string(100000, '[')), ContainsSubstring("array where none may be"));
  }
  SECTION("values") {
    CHECK_THAT(refusal_of_header(R"({"a":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]}})", 8),
               ContainsSubstring("tensor \"a\" dtype: F8_E4M3 is not a known element type"));
    CHECK_THAT(refusal_of_header(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8),
               ContainsSubstring("span 8 bytes, but F32 of shape [3] takes 12"));
    CHECK_THAT(refusal_of_header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8),
               ContainsSubstring("end before they begin"));
    CHECK_THAT(refusal_of_header(R"({"a":{"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,8]}})", 8),
               ContainsSubstring("too large a size"));
    // 2^62 elements of 4 bytes are 2^64 bytes, which wrap to 0.
    CHECK_THAT(refusal_of_header(R"({"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}})"),
               ContainsSubstring("takes more than 2^64"));
    CHECK_THAT(refusal_of_header(R"({"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}})"),
               ContainsSubstring("takes more than 2^64"));
  }
  SECTION("layout") {
    const auto two = [](const char* a, const char* b) {
      return fmt::format(R"({{"a":{{"dtype":"U8","shape":[4],"data_offsets":{}}},"b":{{"dtype":"U8","shape":[4],)"
                         R"("data_offsets":{}}}}})",
                         a, b);
    };
    CHECK(parse(with_length(two("[4,8]", "[0,4]"), "12345678")));  // any order of names
    CHECK_THAT(refusal_of_header(two("[0,4]", "[0,4]"), 8),
               ContainsSubstring("tensor \"b\" data_offsets: [0, 4] overlap"));
    CHECK_THAT(refusal_of_header(two("[0,4]", "[3,7]"), 7), ContainsSubstring("overlap the tensor before"));
    CHECK_THAT(refusal_of_header(two("[0,4]", "[5,9]"), 9), ContainsSubstring("leave a gap after"));
    CHECK_THAT(refusal_of_header(two("[1,5]", "[5,9]"), 9), ContainsSubstring("leave a gap after"));
    CHECK_THAT(refusal_of_header(two("[0,4]", "[4,8]"), 7), ContainsSubstring("reach beyond the data section of 7"));
    CHECK_THAT(refusal_of_header(two("[0,4]", "[4,8]"), 9), ContainsSubstring("1 bytes after the last tensor"));
    CHECK_THAT(refusal_of_header(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                                 R"("a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
                                 8),
               ContainsSubstring("tensor \"a\": appears twice"));
  }
}

TEST_CASE("safetensors: a shape with a zero holds nothing, whatever its other sizes") {
  const Result<Index> index = parse(
      with_length(R"({"a":{"dtype":"F64","shape":[9223372036854775807,0,9223372036854775807],"data_offsets":[0,0]}})"));
  REQUIRE(index);
  CHECK(index->entries[0].shape == std::vector<std::int64_t>{9223372036854775807, 0, 9223372036854775807});
}

TEST_CASE("safetensors: every truncation of a file is refused") {
  const TemporaryFolder folder;
  const std::string whole = reference_file();
  for (std::size_t length = 0; length < whole.size(); ++length) {
    CAPTURE(length);
    test::write_bytes(folder.path() / "cut.safetensors", whole.substr(0, length));
    CHECK_FALSE(Reader::open(folder.path() / "cut.safetensors"));
  }
}

TEST_CASE("safetensors: what is no regular file is refused") {
  const TemporaryFolder folder;
  CHECK_THAT(describe(Reader::open(folder.path() / "absent").errors()),
             Catch::Matchers::ContainsSubstring("No such file"));
  CHECK_FALSE(Reader::open(folder.path()));
  CHECK_FALSE(Reader::open("/dev/zero"));
}
