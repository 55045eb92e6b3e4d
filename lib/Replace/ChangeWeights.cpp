// Comes in: a module after prune-apply-plan, in which new weights may not say
// where they come from. Goes out: a safetensors file with those.
//
// What keep-sets leave of a weight is found by asking propagation: a copy of
// the module is propagated, and the globals of the copy say what they hold. So
// this needs no rule of its own for which widths follow which. Several weights
// are computed at a time, a thread each, and written before the next ones are
// begun: memory is bounded by as many weights as there are threads.
#include "coppice/Replace/ChangeWeights.h"

#include "coppice/Analysis/Sites.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/Prune/Transforms/Passes.h"
#include "coppice/Replace/SelectPattern.h"
#include "coppice/Replace/TruncatedSVD.h"
#include "coppice/Replace/WeightReader.h"

#include "mlir/Pass/PassManager.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Parallel.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;

/// One replaced weight whose new elements are to be computed.
struct ChangedWeights::Job {
  ReplaceOp op;
  ml_program::GlobalOp from;
  SmallVector<ml_program::GlobalOp, 2> to; // the weight, or U and V
  /// What is left of the old weight: rows that U has, or all, and columns.
  SmallVector<int64_t> rows, columns;
  /// Where these rows are among those of the new weight or of U.
  SmallVector<int64_t> places;
  /// Not zero where an element of the old weight, whole, stays; empty: none.
  std::span<const std::byte> mask;
};

static ml_program::GlobalOp getGlobal(ModuleOp module, Value weight) {
  auto load = weight.getDefiningOp<ml_program::GlobalLoadConstOp>();
  return load ? module.lookupSymbol<ml_program::GlobalOp>(
                    load.getGlobal().getLeafReference())
              : ml_program::GlobalOp();
}

/// The indices of one axis that `global` holds of the weight that it was.
static SmallVector<int64_t> getIndices(ml_program::GlobalOp global,
                                       int64_t axis, int64_t extent) {
  if (global)
    for (const KeptAxis &kept : getKept(global))
      if (kept.axis == axis)
        return kept.set.getIndices();
  return llvm::to_vector(llvm::seq<int64_t>(0, extent));
}

/// What keep-sets leave of every replaced weight, whoever computes it.
FailureOr<std::vector<ChangedWeights::Job>> ChangedWeights::findJobs() {
  std::vector<Job> jobs;
  module.walk([&](ReplaceOp op) { jobs.emplace_back().op = op; });
  if (jobs.empty())
    return jobs;
  OwningOpRef<ModuleOp> copy = module.clone();
  PassManager passes(module.getContext());
  passes.addPass(createPruneExpandReplaced());
  passes.addPass(createPrunePropagate());
  passes.addPass(createPruneFoldRestricts());
  if (failed(passes.run(*copy)))
    return failure();
  for (Job &job : jobs) {
    ReplaceOp op = job.op;
    job.from = getGlobal(module, op.getWeight());
    for (Value value : op.getBy())
      job.to.push_back(getGlobal(module, value));
    if (!job.from || llvm::is_contained(job.to, ml_program::GlobalOp()))
      return op.emitOpError()
             << "expected old and new weights that are constants of the module";
    auto indices = [&](Value weight, int64_t axis) {
      return getIndices(
          copy->lookupSymbol<ml_program::GlobalOp>(
              getGlobal(module, weight).getSymNameAttr()),
          axis, cast<RankedTensorType>(weight.getType()).getDimSize(axis));
    };
    job.places = indices(op.getBy().front(), 0);
    job.columns = indices(op.getBy().back(), 1);
    job.rows = job.places;
    if (SetAttr retain = op.getRetainAttr()) {
      SmallVector<int64_t> others = retain.refine(1).complement().getIndices();
      for (int64_t &row : job.rows)
        row = others[row];
    }
  }
  return jobs;
}

/// The mask was found and looked at when the plan was applied.
LogicalResult ChangedWeights::openMask(Job &job) {
  FileSetAttr mask = job.op.getMaskAttr();
  if (!mask)
    return success();
  std::string path = mask.getPath().str();
  if (!llvm::sys::path::is_absolute(path))
    path = options.inputDirectory + "/" + path;
  auto file = masks.find(path);
  if (file == masks.end()) {
    auto opened = rt::SafetensorsFile::open(path);
    if (!opened)
      return job.op.emitOpError() << opened.status().message();
    file = masks.emplace(path, *std::move(opened)).first;
  }
  const rt::TensorInfo *tensor = file->second.find(mask.getKey().str());
  auto type = cast<RankedTensorType>(job.op.getWeight().getType());
  if (!tensor || rt::sizeOf(tensor->dtype) != 1 ||
      ArrayRef<int64_t>(tensor->shape) != type.getShape())
    return job.op.emitOpError()
           << "expected a mask '" << mask.getKey().getValue() << "' in '"
           << path << "' of the shape of the weight, found none";
  job.mask = file->second.data(*tensor);
  return success();
}

namespace {
/// One new tensor: all its elements, stored in the model's type.
using Stored = std::vector<std::byte>;

Stored store(const std::vector<float> &elements, rt::DType dtype) {
  Stored stored(elements.size() * static_cast<size_t>(rt::sizeOf(dtype)));
  rt::convertFromF32(dtype, elements.data(), stored.data(),
                     static_cast<int64_t>(elements.size()));
  return stored;
}

/// `compact` [places, width] as rows of a matrix of zeros.
std::vector<float> spreadRows(ArrayRef<float> compact, ArrayRef<int64_t> places,
                              int64_t rows, int64_t width) {
  std::vector<float> dense(static_cast<size_t>(rows * width));
  for (auto [index, place] : llvm::enumerate(places))
    llvm::copy(compact.slice(index * width, width),
               dense.begin() + place * width);
  return dense;
}

/// `compact` [rows, places] as columns of a matrix of zeros.
std::vector<float> spreadColumns(ArrayRef<float> compact, int64_t rows,
                                 ArrayRef<int64_t> places, int64_t width) {
  std::vector<float> dense(static_cast<size_t>(rows * width));
  for (int64_t row = 0; row < rows; ++row)
    for (auto [index, place] : llvm::enumerate(places))
      dense[row * width + place] = compact[row * places.size() + index];
  return dense;
}
} // namespace

namespace {
/// What one job makes.
struct Made {
  SmallVector<Stored, 2> tensors; // in the order of its globals
  double zeros = 0;               // fraction of what is left of the old weight
  std::string fault;              // why there are none
};
} // namespace

static Made makeFactors(ReplaceOp op, ArrayRef<float> left,
                        ArrayRef<int64_t> places, ArrayRef<int64_t> columns) {
  auto u = cast<RankedTensorType>(op.getU().getType()),
       v = cast<RankedTensorType>(op.getV().getType());
  rt::DType dtype = getStorageType(u.getElementType());
  int64_t rank = u.getDimSize(1);
  Factors factors = truncatedSVD(left, static_cast<int64_t>(places.size()),
                                 static_cast<int64_t>(columns.size()), rank);
  Made made;
  made.tensors = {
      store(spreadRows(factors.u, places, u.getDimSize(0), rank), dtype),
      store(spreadColumns(factors.v, rank, columns, v.getDimSize(1)), dtype)};
  return made;
}

/// Sets to zero what the mask does not keep.
static void applyMask(std::span<float> left, std::span<const std::byte> mask,
                      int64_t width, ArrayRef<int64_t> rows,
                      ArrayRef<int64_t> columns) {
  size_t at = 0;
  for (int64_t row : rows)
    for (int64_t column : columns) {
      if (mask[static_cast<size_t>(row * width + column)] == std::byte(0))
        left[at] = 0.0f;
      ++at;
    }
}

/// A weight of the old one's shape, from what is left of that.
static Made spread(ReplaceOp op, std::vector<float> left,
                   ArrayRef<int64_t> places, ArrayRef<int64_t> columns) {
  auto type = cast<RankedTensorType>(op.getBy().front().getType());
  int64_t rows = type.getDimSize(0), width = type.getDimSize(1);
  Made made;
  if (!left.empty())
    made.zeros = static_cast<double>(llvm::count(left, 0.0f)) /
                 static_cast<double>(left.size());
  std::vector<float> wide =
      spreadColumns(left, static_cast<int64_t>(places.size()), columns, width);
  made.tensors = {store(spreadRows(wide, places, rows, width),
                        getStorageType(type.getElementType()))};
  return made;
}

static Made compute(const ChangedWeights::Job &job,
                    const WeightReader &reader) {
  ReplaceOp op = job.op;
  std::vector<float> left = reader.read(job.from, job.rows, job.columns);
  if (auto fault =
          WeightReader::findNonFinite(job.from, left, job.rows, job.columns)) {
    Made none;
    none.fault = "expected a finite weight of '" + op.getSite().str() +
                 "', found " + *fault;
    return none;
  }
  if (op.isFactored())
    return makeFactors(op, left, job.places, job.columns);
  const size_t width = job.columns.size();
  if (NMAttr pattern = op.getPatternAttr())
    for (size_t row = 0; row < job.rows.size(); ++row)
      selectByMagnitude(std::span(left).subspan(row * width, width),
                        pattern.getKept(), pattern.getOf());
  else if (!job.mask.empty())
    applyMask(left, job.mask,
              cast<RankedTensorType>(op.getWeight().getType()).getDimSize(1),
              job.rows, job.columns);
  else if (op.getSparsity())
    selectLargest(left, op.getSparsity()->convertToDouble());
  return spread(op, std::move(left), job.places, job.columns);
}

rt::Status ChangedWeights::writeAll(std::vector<Job> &jobs,
                                    const WeightReader &reader) {
  for (Job &job : jobs)
    for (ml_program::GlobalOp to : job.to) {
      auto type = cast<RankedTensorType>(to.getType());
      std::vector<int64_t> shape(type.getShape().begin(),
                                 type.getShape().end());
      if (auto s = writer.declare(to.getSymName().str(),
                                  getStorageType(type.getElementType()), shape);
          !s.ok())
        return s;
    }
  if (auto s = writer.begin(options.output); !s.ok())
    return s;
  const size_t batch =
      std::max<size_t>(1, llvm::parallel::strategy.compute_thread_count());
  const bool live =
      options.talk && llvm::sys::Process::StandardErrIsDisplayed();
  for (size_t begin = 0; begin < jobs.size(); begin += batch) {
    size_t count = std::min(batch, jobs.size() - begin);
    if (live)
      *options.talk << llvm::formatv("\rnew weights: {0} of {1}", begin,
                                     jobs.size());
    std::vector<Made> made(count);
    llvm::parallelFor(0, count, [&](size_t i) {
      made[i] = ::compute(jobs[begin + i], reader);
    });
    for (size_t i = 0; i < count; ++i) {
      ReplaceOp op = jobs[begin + i].op;
      if (!made[i].fault.empty())
        return rt::invalidFile(made[i].fault);
      for (const Stored &tensor : made[i].tensors)
        if (auto s = writer.write(tensor); !s.ok())
          return s;
      if (!op.isFactored() && !op.getPatternAttr())
        realized[op] = made[i].zeros;
    }
  }
  if (live)
    *options.talk << "\r\x1b[K";
  return writer.finish();
}

/// The file to write must be none that the module reads: not its weights, nor
/// factors or masks of a plan.
LogicalResult ChangedWeights::checkOutput() {
  auto check = [&](StringRef path, Operation *op) -> LogicalResult {
    SmallString<128> full(path);
    if (!llvm::sys::path::is_absolute(path)) {
      full = options.inputDirectory;
      llvm::sys::path::append(full, path);
    }
    bool isSame = false;
    if (llvm::sys::fs::equivalent(full, options.output, isSame) || !isSame)
      return success();
    return op->emitError() << "new weights would be written over '" << full
                           << "', which is read here; choose another -o";
  };
  for (auto global : module.getOps<ml_program::GlobalOp>())
    if (auto file =
            global->getAttrOfType<decoder::FileAttr>(decoder::kSourceAttrName))
      if (failed(check(file.getPath(), global)))
        return failure();
  for (ReplaceOp op : open)
    if (FileSetAttr mask = op.getMaskAttr())
      if (failed(check(mask.getPath().getValue(), op)))
        return failure();
  return success();
}

LogicalResult ChangedWeights::compute() {
  FailureOr<std::vector<Job>> jobs = findJobs();
  if (failed(jobs))
    return failure();
  for (Job &job : *jobs) {
    auto isFromFile = [](ml_program::GlobalOp global) {
      return isa_and_nonnull<decoder::FileAttr>(
          global->getDiscardableAttr(decoder::kSourceAttrName));
    };
    if (!job.op.isFactored())
      continue;
    int64_t rank =
        cast<RankedTensorType>(job.op.getU().getType()).getDimSize(1);
    auto rows = static_cast<int64_t>(job.rows.size()),
         columns = static_cast<int64_t>(job.columns.size());
    notSmaller += rank * (rows + columns) >= rows * columns;
    // Whoever has made factors has chosen their rank.
    if (isFromFile(job.to.front()))
      continue;
    if (rank > std::min(rows, columns))
      return job.op.emitOpError()
             << "expected a rank of at most " << std::min(rows, columns)
             << " for the " << rows << " x " << columns
             << " that other decisions leave of the weight of '"
             << job.op.getSite() << "', found " << rank;
  }
  llvm::erase_if(*jobs, [](Job &job) {
    return llvm::all_of(job.to, [](ml_program::GlobalOp global) {
      return global->hasAttr(decoder::kSourceAttrName);
    });
  });
  if (jobs->empty())
    return success();
  WeightReader reader(module, options.inputDirectory);
  for (Job &job : *jobs) {
    open.push_back(job.op);
    if (failed(reader.check(job.from)) || failed(openMask(job)))
      return failure();
  }
  if (failed(checkOutput()))
    return failure();
  writer.setMetadata("format", "pt"); // readers of the field ask for it
  if (rt::Status status = writeAll(*jobs, reader); !status.ok())
    return emitError(UnknownLoc::get(module.getContext())) << status.message();
  return success();
}

void ChangedWeights::assign(StringRef path) {
  if (!hasFile())
    return;
  MLIRContext *context = module.getContext();
  for (ReplaceOp op : open) {
    if (auto zeros = realized.find(op); zeros != realized.end())
      op.setSparsity(llvm::APFloat(zeros->second));
    op.removeMaskAttr();
    for (Value value : op.getBy()) {
      ml_program::GlobalOp global = getGlobal(module, value);
      global->setAttr(decoder::kSourceAttrName,
                      decoder::FileAttr::get(context, path, global.getSymName(),
                                             DenseI64ArrayAttr()));
    }
  }
  Builder builder(context);
  module->setAttr(decoder::kFilesAttrName,
                  builder.getDictionaryAttr(builder.getNamedAttr(
                      path, builder.getStringAttr(writer.sha256()))));
}
