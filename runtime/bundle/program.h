// program.json as plain data: what docs/bundle.md describes, after all checks.
//
// In: the text of program.json. Out: a Program in which every index is in
// range, every name and file name is legal, and every expression is over the
// program's symbols. Buffer extents are checked against the arena for the
// limits. Vector positions are those of the file's lists: args and outputs
// index them.
#ifndef COPPICE_RUNTIME_BUNDLE_PROGRAM_H
#define COPPICE_RUNTIME_BUNDLE_PROGRAM_H

#include "runtime/base/dtype.h"
#include "runtime/base/expr.h"
#include "runtime/base/packing.h"
#include "runtime/base/sha256.h"
#include "runtime/base/status.h"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace coppice::rt {

constexpr std::string_view programSchema = "coppice.program/2";

// Positions in `symbols`: the list is fixed by the schema.
enum SymbolIndex : int {
  symbolRows,
  symbolHeadRows,
  symbolSlots,
  symbolContext,
  symbolAttended,
  symbolCached,
  symbolCount
};
extern const std::array<std::string, symbolCount> symbolNames;
using SymbolValues = std::array<int64_t, symbolCount>;

struct Model {
  std::string name, family, dtype;
  int64_t vocabulary = 0, context = 0;
  int64_t bos = -1, eos = -1; // -1: the model has none
  int64_t parameters = 0, layers = 0;
  std::string sourceSha256;
};

struct Plan {
  std::string summary, sha256, family;
  double sparsity = 0;
  double removedParameters = 0; // fraction of the dense model's
};

struct Limits {
  int64_t rows = 0, slots = 0, context = 0;
};

// A file of the bundle other than code, with what it must hash to: as a whole,
// or, where `sha256` is empty, piece by piece.
struct FileRecord {
  std::string file;
  int64_t bytes = 0;
  std::string sha256;
  PieceHashes pieces;
};

// What a field of the step buffer carries, by its name in the file.
enum class StepRole { Tokens, Slots, Positions, HeadRows, Routes };

struct StepField {
  std::string name;
  StepRole role = StepRole::Tokens;
  DType dtype = DType::I32;
  std::vector<Expr> shape;
};

struct FileStorage {
  std::string file, key;
};

struct GeneratedStorage {
  uint64_t seed = 0;
  std::string name;
  double stddev = 0, mean = 0;
  std::vector<int64_t> shape; // original
  std::vector<KeptAxis> kept;
  Packing packing;
};

struct Weight {
  std::string name;
  DType dtype = DType::F32;
  std::vector<int64_t> shape; // as kernels read it: packed
  int64_t bytes = 0;
  std::variant<FileStorage, GeneratedStorage> storage;
};

struct State {
  std::string name;
  DType dtype = DType::F32;
  std::vector<Expr> shape;
};

struct Buffer {
  std::string name;
  DType dtype = DType::F32;
  std::vector<Expr> shape;
  Expr offset; // in the arena, bytes
};

struct Output {
  std::string name;
  int64_t buffer = 0;
};

// What a GPU needs to know of a kernel before it launches one.
struct KernelShape {
  int32_t threads = 0;     // of a block
  int64_t sharedBytes = 0; // dynamic shared memory of a block
  // Of a thread, by whoever assembled the code; else nobody knows.
  std::optional<int32_t> registers;
  std::optional<int64_t> spillBytes;
};

struct Target {
  std::string name, isa, file, sha256; // isa: of "cpu"; empty: it has none
  int64_t bytes = 0;
  std::vector<std::string> requires_; // CPU features, as in /proc/cpuinfo
  std::map<std::string, KernelShape, std::less<>> kernels; // of GPUs
};

enum class ArgKind { Buffer, Weight, State, Step };

struct Arg {
  ArgKind kind = ArgKind::Buffer;
  int64_t index = 0;
};

enum class DispatchKind {
  Lookup,
  Norm,
  Gemm,
  RotaryTable,
  Rotary,
  Append,
  Attention,
  Elementwise,
  Other,
  Route,  // decides which rows a sublayer computes
  Compact // a decision to the list of its rows
};
// "rotary_table", as in the file.
std::string_view nameOf(DispatchKind kind);

struct Stage {
  std::string kernel;
  Expr grid;
  std::string config;
};

struct Variant {
  std::optional<Expr> guard;     // runs if > 0; none: always
  std::optional<Expr> workspace; // bytes; its kernels get one more argument
  std::vector<Stage> stages;     // at least one, run in order
};

// What the products of a dispatch are made of: bf16 where both factors are
// stored so, f32 where they are widened first.
enum class Arithmetic { F32, BF16 };
// "f32", as in the file.
std::string_view nameOf(Arithmetic arithmetic);

struct Cost {
  Expr flops, weightBytes, readBytes, writeBytes;
  Arithmetic arithmetic = Arithmetic::F32;
  // The expressions' `attended` and `cached` count the positions that are in
  // the window of a row only; 0: all.
  int64_t window = 0;
  // What kernels execute for each FLOP of work: zeros that a pattern leaves in
  // the weights may well be multiplied.
  int64_t executedPerFlop = 1;
};

struct GemmExtents {
  Expr m;
  int64_t n = 0, k = 0;
};

// A decision which rows a sublayer computes, or which groups of columns of a
// row, by one dispatch of kind "route": from scores [rows, 2 groups] to a mask
// [rows, groups] of i8, 1 for computed.
struct Route {
  std::string name;
  int64_t buffer = 0; // the mask; lives to the end of the step
  int64_t column = 0; // the first of its columns of the step field "routes"
  int64_t groups = 1;
  double expected = 1; // share of kept rows that predictions assume
  std::string scores;  // the value name of its scores
  int64_t columns = 0; // that a group is about; 0: all, and there is one group
  // The rule: kept unless scores[r, 2g + 1] > scores[r, 2g] + margin; or, with
  // top > 0, the ceil(top n) of a slot's n rows with the largest difference.
  double margin = 0, top = 0;
};

struct Dispatch {
  std::string site;
  DispatchKind kind = DispatchKind::Other;
  std::string group; // empty: none
  std::vector<Arg> args;
  std::vector<int64_t> writes; // positions in args; at least one
  std::vector<Variant> variants;
  Cost cost;
  std::optional<GemmExtents> gemm;
  std::optional<std::string> value;
  std::vector<KeptAxis> kept;
  // Works on the rows that this route keeps alone; its costs and `gemm` are
  // those of all rows.
  std::optional<int64_t> route;
  // With a route: works on the rows that it does not keep.
  bool passed = false;
  // With a route: the other rows of what it writes are undefined; else they
  // stay as they were.
  bool partial = false;
  // Share of a GEMM's input that is expected to be zero. With one row or two,
  // weights are read only for what is not zero in all of them.
  double zeros = 0;
  // What is smaller in magnitude is zero in what it writes.
  std::optional<double> threshold;
};

// A product that is pruned at run time and runs dense, for skipping was
// predicted to be slower.
struct Fallback {
  std::string site;
  int64_t group = 0; // columns that are kept or left out together; 0: a product
                     // that would look for zeros in its input
  double expected = 1;         // share that is expected to be kept, or not zero
  double predictedSpeedup = 1; // of skipping over what runs
  bool masked = false; // what is not kept is set to zero; else nobody reads it
};

struct Program {
  std::string producer;
  Model model;
  Plan plan;
  bool oracle = false;
  Limits limits;
  std::vector<FileRecord> files;
  std::vector<StepField> step;
  std::vector<Weight> weights;
  std::vector<State> states;
  Expr arena;
  std::optional<Expr> workspace; // offset in the arena, if a variant has one
  std::vector<Buffer> buffers;
  std::vector<Output> outputs;
  std::vector<Target> targets;
  std::vector<Route> routes;
  std::vector<Dispatch> dispatches;
  std::vector<Fallback> fallbacks;
  // Columns of the step field "routes"; 0: the program has no such field.
  int64_t routeColumns = 0;

  // The output named "logits"; every program has it.
  int64_t logitsBuffer = 0;

  const FileRecord *findFile(std::string_view file) const;
};

// The symbols of the largest step that a session with these limits takes.
SymbolValues largestStep(int64_t rows, int64_t headRows, int64_t slots,
                         int64_t context);

Result<Program> parseProgram(std::string_view json);

// Checks that the workspace of a variant lies inside an arena of `arenaBytes`:
// its offset evaluated at `capacity`, its size at `symbols`. Gives the offset.
Result<int64_t> placeWorkspace(const Program &program, const Variant &variant,
                               const SymbolValues &capacity,
                               const SymbolValues &symbols, int64_t arenaBytes);

// Extents of a shape for given symbols; an error where one is negative.
Result<std::vector<int64_t>> evaluateShape(const std::vector<Expr> &shape,
                                           const SymbolValues &symbols);
// Bytes of an array of that shape, with overflow as an error.
Result<int64_t> evaluateBytes(const std::vector<Expr> &shape, DType dtype,
                              const SymbolValues &symbols);

} // namespace coppice::rt

#endif
