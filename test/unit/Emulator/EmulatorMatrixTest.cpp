//===- EmulatorMatrixTest.cpp - ldmatrix and sparse products --------------===//
//
// The layouts of the dense product are those that EmulatorGemmTest relies on.
//
//===----------------------------------------------------------------------===//

#include "EmulatorFixture.h"
#include "llvm/ADT/bit.h"
#include <random>

using namespace mlir;

namespace coppice {
namespace {

uint16_t bf16(int value) {
  return llvm::bit_cast<uint32_t>(float(value)) >> 16;
}

// Lane l stores row l of a matrix of 32 rows of 8, and loads what ldmatrix
// gives it of the `num` matrices of 8 rows that begin it.
std::string matrixLoader(int num, StringRef layout) {
  std::string text = R"(
    llvm.mlir.global internal @rows() {addr_space = 3 : i32, alignment = 16 : i64} : !llvm.array<32 x vector<4xi32>>
    llvm.func @k(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel} {
      %lane = nvvm.read.ptx.sreg.laneid : i32
      %rows = llvm.mlir.addressof @rows : !llvm.ptr<3>
      %from = llvm.getelementptr %x[%lane] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, vector<4xi32>
      %to = llvm.getelementptr %rows[%lane] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, vector<4xi32>
      %row = llvm.load %from : !llvm.ptr<1> -> vector<4xi32>
      llvm.store %row, %to : vector<4xi32>, !llvm.ptr<3>
      nvvm.barrier0
      %m = nvvm.ldmatrix %to {num = )" +
                     std::to_string(num) +
                     " : i32, layout = #nvvm.mma_layout<" + layout.str() +
                     ">, shape = #nvvm.ld_st_matrix_shape<m = 8, n = 8>, "
                     "eltType = #nvvm.ld_st_matrix_elt_type<b16>} : "
                     "(!llvm.ptr<3>) -> ";
  std::string type = "i32";
  if (num > 1) {
    type = "!llvm.struct<(i32";
    for (int i = 1; i < num; ++i)
      type += ", i32";
    type += ")>";
  }
  return text + type + R"(
      %out = llvm.getelementptr %y[%lane] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, )" +
         type + "\n llvm.store %m, %out : " + type +
         ", !llvm.ptr<1>\n llvm.return\n }";
}

TEST_F(EmulatorTest, MatricesComeInFragments) {
  std::vector<uint16_t> x(32 * 8);
  for (int i = 0; i < 32 * 8; ++i)
    x[i] = i;
  for (int num : {1, 2, 4})
    for (bool transposed : {false, true}) {
      ASSERT_TRUE(make(matrixLoader(num, transposed ? "col" : "row")))
          << errors;
      std::vector<uint16_t> y(32 * 2 * num);
      LaunchReport report =
          launch("k", {1, 1, 1}, {32, 1, 1}, {buffer("x", x), buffer("y", y)});
      EXPECT_TRUE(report.clean()) << report.str();
      for (int lane = 0; lane < 32; ++lane)
        for (int matrix = 0; matrix < num; ++matrix)
          for (int half = 0; half < 2; ++half) {
            int row = lane / 4, column = lane % 4 * 2 + half;
            if (transposed)
              std::swap(row, column);
            ASSERT_EQ(y[(lane * num + matrix) * 2 + half],
                      (matrix * 8 + row) * 8 + column)
                << num << transposed << " lane " << lane;
          }
      std::string name = ".x" + std::to_string(num) +
                         (transposed ? ".trans" : "") + ".shared.b16";
      EXPECT_NE(ptx().find("ldmatrix.sync.aligned.m8n8" + name),
                std::string::npos)
          << name << errors;
    }
}

TEST_F(EmulatorTest, AWarpOfTooFewLanesCannotLoadMatrices) {
  ASSERT_TRUE(make(matrixLoader(4, "row"))) << errors;
  std::vector<uint16_t> x(32 * 8), y(32 * 8);
  LaunchReport report =
      launch("k", {1, 1, 1}, {31, 1, 1}, {buffer("x", x), buffer("y", y)});
  EXPECT_TRUE(isFault(report, Fault::Kind::Deadlock,
                      "expected all lanes of the mask 0xffffffff"));
}

//===--- mma.sp -----------------------------------------------------------===//

// Lane l takes its registers from 4 words of A, 4 of B, one of metadata.
std::string sparseProduct(int selector) {
  std::string text = R"(
    llvm.func @k(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %m: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel} {
      %lane = nvvm.read.ptx.sreg.laneid : i32
      %zero = llvm.mlir.constant(1.0 : f32) : f32
      %sel = llvm.mlir.constant()" +
                     std::to_string(selector) + R"( : i32) : i32
      %mp = llvm.getelementptr %m[%lane] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32
      %meta = llvm.load %mp : !llvm.ptr<1> -> i32
)";
  for (StringRef matrix : {"a", "b"}) {
    text +=
        ("%p" + matrix + " = llvm.getelementptr %" + matrix +
         "[%lane] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, vector<4xi32>\n%v" +
         matrix + " = llvm.load %p" + matrix +
         " : !llvm.ptr<1> -> vector<4xi32>\n")
            .str();
    for (int i = 0; i < 4; ++i) {
      std::string n = matrix.str() + std::to_string(i);
      text += "%i" + n + " = llvm.mlir.constant(" + std::to_string(i) +
              " : i32) : i32\n%" + n + "r = llvm.extractelement %v" +
              matrix.str() + "[%i" + n + " : i32] : vector<4xi32>\n";
    }
  }
  return text + R"(
      %d = nvvm.mma.sp.sync A[%a0r, %a1r, %a2r, %a3r] B[%b0r, %b1r, %b2r, %b3r] C[%zero, %zero, %zero, %zero]
        sparseMetadata[%meta] selector[%sel]
        {multiplicandAPtxType = #nvvm.mma_type<bf16>, multiplicandBPtxType = #nvvm.mma_type<bf16>, shape = #nvvm.shape<m = 16, n = 8, k = 32>}
        : (i32, i32, f32) -> !llvm.struct<(f32, f32, f32, f32)>
      %out = llvm.getelementptr %y[%lane] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, !llvm.struct<(f32, f32, f32, f32)>
      llvm.store %d, %out : !llvm.struct<(f32, f32, f32, f32)>, !llvm.ptr<1>
      llvm.return
    })";
}

struct SparseOperands {
  std::vector<uint32_t> a, b, metadata; // as lanes take them
  int dense[16][32] = {}, right[32][8]; // what they stand for
};

/// Metadata is laid out the way CUTLASS's reorder_meta does it: words of 16
/// bits, one for 16 columns of a row; rows r and r + 8 side by side, their 2 x
/// 2 blocks transposed.
SparseOperands drawSparse(int selector) {
  std::mt19937 random(3);
  SparseOperands s;
  int kept[16][16];
  uint16_t words[16][2] = {};
  for (int row = 0; row < 16; ++row)
    for (int four = 0; four < 8; ++four) {
      int first = random() % 3, second = first + 1 + random() % (3 - first);
      words[row][four / 4] |= (first | second << 2) << (4 * (four % 4));
      int places[2] = {first, second};
      for (int i = 0; i < 2; ++i)
        s.dense[row][4 * four + places[i]] = kept[row][2 * four + i] =
            int(random() % 15) - 7;
    }
  for (auto &row : s.right)
    for (int &value : row)
      value = int(random() % 15) - 7;

  s.metadata.assign(32, 0xffffffff); // of the other lanes: not read
  for (int row = 0; row < 16; ++row)
    for (int word = 0; word < 2; ++word) {
      int lane = row % 8 * 4 + row / 8 + 2 * selector, half = word;
      if (row / 8 != word) { // off the diagonal of the block
        lane += row / 8 ? -1 : 1;
        half = 1 - half;
      }
      uint32_t &target = s.metadata[lane];
      target = (target & (half ? 0xffffu : 0xffff0000u)) |
               uint32_t(words[row][word]) << (16 * half);
    }
  for (int lane = 0; lane < 32; ++lane)
    for (int q = 0; q < 4; ++q) {
      int row = lane / 4 + q % 2 * 8, column = lane % 4 * 2 + q / 2 * 8;
      s.a.push_back(bf16(kept[row][column]) | bf16(kept[row][column + 1])
                                                  << 16);
      int k = lane % 4 * 2 + 8 * q;
      s.b.push_back(bf16(s.right[k][lane / 4]) | bf16(s.right[k + 1][lane / 4])
                                                     << 16);
    }
  return s;
}

TEST_F(EmulatorTest, SparseProductsAreDenseOnesWithZeros) {
  for (int selector : {0, 1}) {
    ASSERT_TRUE(make(sparseProduct(selector))) << errors;
    SparseOperands s = drawSparse(selector);
    std::vector<float> y(32 * 4);
    LaunchReport report = launch("k", {1, 1, 1}, {32, 1, 1},
                                 {buffer("a", s.a), buffer("b", s.b),
                                  buffer("m", s.metadata), buffer("y", y)});
    EXPECT_TRUE(report.clean()) << report.str();
    for (int lane = 0; lane < 32; ++lane)
      for (int q = 0; q < 4; ++q) {
        int row = lane / 4 + q / 2 * 8, column = lane % 4 * 2 + q % 2;
        int sum = 1;
        for (int k = 0; k < 32; ++k)
          sum += s.dense[row][k] * s.right[k][column];
        ASSERT_EQ(y[lane * 4 + q], float(sum)) << row << " " << column;
      }
    // Since PTX 7.1.
    EXPECT_NE(
        ptx("+ptx71").find("mma.sp.sync.aligned.m16n8k32.row.col.f32.bf16.bf16."
                           "f32"),
        std::string::npos)
        << errors;
  }
}

TEST_F(EmulatorTest, MetadataOfTheWrongLanesIsNamed) {
  ASSERT_TRUE(make(sparseProduct(1))) << errors;
  SparseOperands s = drawSparse(0);
  std::vector<float> y(32 * 4);
  LaunchReport report = launch("k", {1, 1, 1}, {32, 1, 1},
                               {buffer("a", s.a), buffer("b", s.b),
                                buffer("m", s.metadata), buffer("y", y)});
  EXPECT_TRUE(isFault(report, Fault::Kind::Invalid,
                      "expected metadata with two ascending places in columns "
                      "0 to 3 of row 0, found 3 and 3"));
}

} // namespace
} // namespace coppice
