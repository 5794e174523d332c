// engine/train/data: which files are read, how they are split, and batches that depend on nothing but their position.
#include "engine/train/data.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "engine/train/tokens.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace dtcalc;
using Catch::Matchers::ContainsSubstring;
using dtcalc::test::TemporaryFolder;
namespace fs = std::filesystem;

namespace {

struct Batch {
  std::vector<std::int32_t> tokens, targets;
  bool operator==(const Batch&) const = default;
};

Batch batch(const TokenSource& source, const BatchPosition& position, std::int64_t rows, std::int64_t sequence) {
  Batch result{std::vector<std::int32_t>(static_cast<std::size_t>(rows * sequence)), {}};
  result.targets = result.tokens;
  fill_batch(source, position, sequence, result.tokens, result.targets);
  return result;
}

std::string text_of(const std::vector<std::uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

/// Numbered lines, so that every stretch of 20 bytes occurs once.
std::string lines(int first, int count) {
  std::string text;
  for (int i = first; i < first + count; ++i) text += "line number " + std::to_string(i) + "\n";
  return text;
}

Result<TextSource> read(const std::vector<fs::path>& paths, std::int64_t sequence = 8) {
  return read_text_source(paths, 1, sequence);
}

}  // namespace

TEST_CASE("data: folders are read in byte order of the paths, each file split at nine tenths") {
  const TemporaryFolder folder;
  test::write_bytes(folder.path() / "b.txt", std::string(18, 'b') + "YY");
  test::write_bytes(folder.path() / "a" / "z.txt", std::string(9, 'a') + "X");
  test::write_bytes(folder.path() / "B.txt", "too short");
  test::write_bytes(folder.path() / "empty.txt", "");
  const Result<TextSource> source = read({folder.path()}, 4);
  REQUIRE(source);
  CHECK(source->files == 4);
  // A zero byte follows each file; of nine bytes none are held out.
  CHECK(text_of(source->train) ==
        std::string("too short\0", 10) + std::string(9, 'a') + '\0' + std::string(18, 'b') + '\0' + '\0');
  CHECK(text_of(source->held_out) == std::string("\0X\0YY\0\0", 7));
}

TEST_CASE("data: hidden entries, links, build folders and binary files are passed over") {
  const TemporaryFolder folder, elsewhere;
  test::write_bytes(elsewhere.path() / "other.txt", lines(100, 100));
  test::write_bytes(folder.path() / "text.txt", lines(0, 100));
  test::write_bytes(folder.path() / ".git" / "config", "hidden");
  test::write_bytes(folder.path() / ".hidden", "hidden");
  test::write_bytes(folder.path() / "build" / "CMakeCache.txt", "cache");
  test::write_bytes(folder.path() / "build" / "sub" / "out.txt", "built");
  test::write_bytes(folder.path() / "picture", std::string("PNG\0rest", 8));
  fs::create_symlink(elsewhere.path() / "other.txt", folder.path() / "link.txt");
  fs::create_directory_symlink(elsewhere.path(), folder.path() / "linked");
  fs::create_directory_symlink(folder.path(), folder.path() / "loop");
  REQUIRE(::mkfifo((folder.path() / "pipe").c_str(), 0600) == 0);
  const Result<TextSource> source = read({folder.path()});
  REQUIRE(source);
  CHECK(source->files == 1);
  CHECK(source->train.size() + source->held_out.size() == lines(0, 100).size() + 2);
}

TEST_CASE("data: a path given twice is read once") {
  const TemporaryFolder folder;
  test::write_bytes(folder.path() / "a.txt", lines(0, 100));
  const Result<TextSource> source = read({folder.path(), folder.path() / "a.txt", folder.path() / "." / "a.txt"});
  REQUIRE(source);
  CHECK(source->files == 1);
}

TEST_CASE("data: what cannot be read is an error with its path") {
  const TemporaryFolder folder;
  CHECK_THAT(describe(read({folder.path() / "absent"}).errors()), ContainsSubstring("absent: cannot be opened"));
  test::write_bytes(folder.path() / "binary", std::string(100, '\0'));
  CHECK_THAT(describe(read({folder.path() / "binary"}).errors()), ContainsSubstring("binary: holds a zero byte"));
  test::write_bytes(folder.path() / "short.txt", "short");
  CHECK_THAT(describe(read({folder.path() / "short.txt"}).errors()),
             ContainsSubstring("fewer than a sequence of 8 and its last target; give at least 90 bytes"));
  CHECK_FALSE(read({}));
  test::write_bytes(folder.path() / "long.txt", std::string(1000, 'x'));
  CHECK_THAT(describe(read_text_source(std::vector<fs::path>{folder.path() / "long.txt"}, 1, 8, 999).errors()),
             ContainsSubstring("long.txt: 1000 bytes are more than the 999"));
}

TEST_CASE("data: targets follow tokens, and both are text of their split") {
  const TemporaryFolder folder;
  test::write_bytes(folder.path() / "a.txt", lines(0, 1000));
  test::write_bytes(folder.path() / "b.txt", lines(1000, 1000));
  const Result<TextSource> text = read({folder.path()}, 32);
  REQUIRE(text);
  const TokenSource source = *text;
  CHECK(vocabulary_size(source) == 256);
  for (const Split split : {Split::train, Split::held_out}) {
    const std::string own = text_of(split == Split::train ? text->train : text->held_out);
    const std::string other = text_of(split == Split::train ? text->held_out : text->train);
    for (std::int64_t step = 0; step < 20; ++step) {
      const Batch b = batch(source, {split, step, 0}, 4, 32);
      for (std::size_t row = 0; row < 4; ++row) {
        const std::string tokens = decode_bytes(std::span(b.tokens).subspan(row * 32, 32));
        const std::string targets = decode_bytes(std::span(b.targets).subspan(row * 32, 32));
        REQUIRE(tokens.substr(1) == targets.substr(0, 31));
        REQUIRE(own.find(tokens + targets.back()) != std::string::npos);
        REQUIRE(other.find(tokens) == std::string::npos);
      }
    }
  }
}

TEST_CASE("data: windows cover a text from its first to its last byte") {
  TextSource text;
  text.train.resize(40);
  std::iota(text.train.begin(), text.train.end(), std::uint8_t{0});
  text.held_out = text.train;
  std::set<std::int32_t> first_tokens;
  for (std::int64_t step = 0; step < 2000; ++step)
    first_tokens.insert(batch(text, {Split::train, step, 0}, 1, 8).tokens[0]);
  // 40 - 9 + 1 = 32 starts, each missed with probability (31/32)^2000 = 3e-28.
  CHECK(first_tokens.size() == 32);
  CHECK(*first_tokens.rbegin() == 31);
}

TEST_CASE("data: a batch depends on seed, split, step and micro-batch only") {
  const auto check = [](const TokenSource& source, const TokenSource& same, const TokenSource& other_seed) {
    const Batch reference = batch(source, {Split::train, 5, 1}, 4, 16);
    batch(source, {Split::train, 6, 0}, 4, 16);
    CHECK(batch(same, {Split::train, 5, 1}, 4, 16) == reference);
    CHECK_FALSE(batch(source, {Split::held_out, 5, 1}, 4, 16) == reference);
    CHECK_FALSE(batch(source, {Split::train, 6, 1}, 4, 16) == reference);
    CHECK_FALSE(batch(source, {Split::train, 5, 0}, 4, 16) == reference);
    CHECK_FALSE(batch(other_seed, {Split::train, 5, 1}, 4, 16) == reference);

    // Eight sequences as one batch, as two of four and as eight of one: the same.
    const Batch whole = batch(source, {Split::train, 5, 0}, 8, 16);
    for (const std::int64_t rows : {4, 1}) {
      Batch joined;
      for (std::int64_t micro_batch = 0; micro_batch < 8 / rows; ++micro_batch) {
        const Batch part = batch(source, {Split::train, 5, micro_batch}, rows, 16);
        joined.tokens.insert(joined.tokens.end(), part.tokens.begin(), part.tokens.end());
        joined.targets.insert(joined.targets.end(), part.targets.begin(), part.targets.end());
      }
      CHECK(joined == whole);
    }
  };
  TextSource text;
  for (int i = 0; i < 5000; ++i) text.train.push_back(static_cast<std::uint8_t>(i * i % 251));
  text.held_out = text.train;
  TextSource other_text = text;
  other_text.seed = 2;
  SECTION("text") { check(text, text, other_text); }
  SECTION("markov") { check(make_markov_source(8, 1, 1), make_markov_source(8, 1, 1), make_markov_source(8, 1, 2)); }
}

TEST_CASE("data: sequences of one step and of neighbouring steps differ") {
  const TokenSource source = make_markov_source(8, 1, 1);
  std::set<std::vector<std::int32_t>> seen;
  for (const Split split : {Split::train, Split::held_out}) {
    for (std::int64_t step = 0; step < 50; ++step) {
      const Batch b = batch(source, {split, step, 0}, 8, 32);
      for (int row = 0; row < 8; ++row) seen.emplace(b.tokens.begin() + row * 32, b.tokens.begin() + (row + 1) * 32);
    }
  }
  CHECK(seen.size() == 2 * 50 * 8);
}

TEST_CASE("data: the identity names everything the batches depend on") {
  TextSource text;
  text.train.assign(100, 'a');
  text.held_out.assign(20, 'b');
  text.files = 3;
  CHECK_THAT(identity(text), ContainsSubstring("text: 3 files, 100 training bytes, 20 held-out bytes, crc64 "));
  TextSource altered = text;
  altered.held_out[7] = 'c';
  CHECK(identity(altered) != identity(text));
  altered = text;
  altered.seed = 9;
  CHECK(identity(altered) != identity(text));
  const MarkovSource markov = make_markov_source(8, 1, 1);
  CHECK(vocabulary_size(markov) == 8);
  CHECK_THAT(identity(markov), ContainsSubstring("markov: 8 symbols, table crc64 "));
  CHECK(identity(markov) == identity(make_markov_source(8, 1, 1)));
  CHECK(identity(markov) != identity(make_markov_source(8, 2, 1)));
  CHECK(identity(markov) != identity(make_markov_source(8, 1, 2)));
}

TEST_CASE("tokens: bytes go to ids and back") {
  std::string all(256, '\0');
  std::iota(all.begin(), all.end(), '\0');
  CHECK(encode_bytes(all).back() == 255);
  CHECK(decode_bytes(encode_bytes(all)) == all);
  CHECK(decode_bytes(std::vector<std::int32_t>{72, 300, 105, -1}) == "H<300>i<-1>");
}

TEST_CASE("tokens: only harmless characters reach the terminal") {
  CHECK(printable("plain text\n\tindented") == "plain text\n\tindented");
  CHECK(printable("\xC3\xA4 \xE2\x82\xAC \xF0\x9F\x99\x82") == "\xC3\xA4 \xE2\x82\xAC \xF0\x9F\x99\x82");
  CHECK(printable("\x1B[2J") == "\\x1B[2J");
  CHECK(printable(std::string("a\0b\r", 4)) == "a\\x00b\\x0D");
  CHECK(printable("\x7F") == "\\x7F");
  CHECK(printable("\xC2\x9B"
                  "2J") == "\\xC2\\x9B2J");                        // CSI in Latin-1's control block
  CHECK(printable("\xE2\x82") == "\\xE2\\x82");                    // cut off
  CHECK(printable("\xFF\x80") == "\\xFF\\x80");                    // no lead byte
  CHECK(printable("\xC0\xAF") == "\\xC0\\xAF");                    // overlong /
  CHECK(printable("\xE0\x80\xAF") == "\\xE0\\x80\\xAF");           // overlong /
  CHECK(printable("\xED\xA0\x80") == "\\xED\\xA0\\x80");           // surrogate
  CHECK(printable("\xF4\x90\x80\x80") == "\\xF4\\x90\\x80\\x80");  // beyond U+10FFFF
}
