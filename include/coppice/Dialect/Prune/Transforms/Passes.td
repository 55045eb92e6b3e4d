#ifndef COPPICE_DIALECT_PRUNE_TRANSFORMS_PASSES_TD
#define COPPICE_DIALECT_PRUNE_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def PruneApplyPlan : Pass<"prune-apply-plan", "::mlir::ModuleOp"> {
  let summary = "Turn matrix multiplication sites into prune.gemm and write a plan's projections";
  let description = [{
    Each `linalg.matmul` that has a site, weights `[out, in]` and a zero fill as
    its init becomes a `prune.gemm`; other linalg ops are left alone. Then each
    decision of the module's `prune.plan` is written as a `prune.project`; a
    module without a plan becomes the dense program in the same form. Nothing is
    moved: the result is the dense program with masks.

    - `prune.keep` of an MLP or an attention projects the columns that enter the
      GEMM that ends it: channels, or KV heads with all of their query heads.
    - `prune.keep` of `hidden` projects the columns of the residual stream at a
      boundary: every reader of it sees zeros elsewhere.
    - `prune.skip` projects away all rows of what the sublayer adds to the
      residual.
    - `prune.factor`, `prune.pattern` and `prune.mask` put a `prune.replace` in
      front of the GEMMs that they name, but for those of skipped sublayers.
      Factors of a generated weight are generated too, unless `open-sources` is
      given; the other new weights say nowhere where they come from yet:
      `coppice prune` computes them.
    - `prune.activations` sets what GEMMs read to zero where it is small.
    - `prune.route` writes a router behind the residual that it reads, its
      `prune.decide`, and a `prune.project_by`: of axis(M) on what the sublayer
      adds, of axis(N) on the columns that enter the GEMM that ends it, of
      axis(K) on its normed input. The function gets one more step field,
      `routes`, a column for each route, or for each group of columns.
    - `prune.blocks` writes a `prune.select_blocks` in front of the attention,
      which then reads its lists.

    Indices refer to the dense model, so the module must hold no projection yet.
    An external set is read and written into the plan. Errors: a glob, or one of
    its alternatives, that names no sublayer or boundary; two decisions about
    one of them; a set of another size than the model's; a set that is empty.

    Before:
    ```mlir
    #A = affine_map<(m, n, k) -> (m, k)>
    #W = affine_map<(m, n, k) -> (n, k)>
    #C = affine_map<(m, n, k) -> (m, n)>
    #id = affine_map<(m, n) -> (m, n)>
    prune.plan @plan {
      prune.keep "layers.0.mlp" channels = #prune.set<[0:2] of 5>
    }
    func.func @forward(%act: tensor<4x5xf32>, %w: tensor<3x5xf32>, %r: tensor<4x3xf32>) -> tensor<4x3xf32> {
      %f0 = arith.constant 0.0 : f32
      %empty = tensor.empty() : tensor<4x3xf32>
      %zero = linalg.fill ins(%f0 : f32) outs(%empty : tensor<4x3xf32>) -> tensor<4x3xf32>
      %down = linalg.matmul indexing_maps = [#A, #W, #C] {prune.site = "layers.0.mlp.down"}
          ins(%act, %w : tensor<4x5xf32>, tensor<3x5xf32>) outs(%zero : tensor<4x3xf32>) -> tensor<4x3xf32>
      %sum = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
          ins(%r, %down : tensor<4x3xf32>, tensor<4x3xf32>) outs(%empty : tensor<4x3xf32>) attrs = {prune.site = "layers.0.mlp"} {
      ^bb0(%a: f32, %b: f32, %o: f32):
        %s = arith.addf %a, %b : f32
        linalg.yield %s : f32
      } -> tensor<4x3xf32>
      return %sum : tensor<4x3xf32>
    }
    ```
    After:
    ```mlir
    func.func @forward(%act: tensor<4x5xf32>, %w: tensor<3x5xf32>, %r: tensor<4x3xf32>) -> tensor<4x3xf32> {
      %p = prune.project "layers.0.mlp" %act axis 1 keep #prune.set<[0:2] of 5> in tensor<4x5xf32>
      %down = prune.gemm "layers.0.mlp.down" %p, %w : tensor<4x5xf32>, tensor<3x5xf32> -> tensor<4x3xf32>
      %sum = linalg.generic {...} ins(%r, %down : ...
    ```
  }];
  let options = [
    Option<"plan", "plan", "std::string", /*default=*/"\"\"",
           "Name of the plan; may be left out where the module has at most one">,
    Option<"directory", "directory", "std::string", /*default=*/"\"\"",
           "Where relative paths of external sets start (default: the file of the decision)">,
    Option<"openSources", "open-sources", "bool", /*default=*/"false",
           "Leave it open where factors of generated weights come from, too">,
  ];
  let statistics = [
    Statistic<"numGemms", "gemms", "Number of sites that became prune.gemm">,
    Statistic<"numProjections", "projections", "Number of projections written">,
    Statistic<"numReplaced", "replaced", "Number of weights that are replaced">,
    Statistic<"numSparse", "sparse", "Number of GEMMs whose input gets zeros">,
    Statistic<"numRoutes", "routes", "Number of sublayers left to a router">,
    Statistic<"numBlocks", "blocks", "Number of attentions left some blocks of positions">,
  ];
  let dependentDialects = ["::coppice::prune::PruneDialect", "::mlir::math::MathDialect"];
}

def PruneExpandReplaced : Pass<"prune-expand-replaced"> {
  let summary = "Multiply with the new weights where weights are replaced";
  let description = [{
    The meaning of `prune.replace`, spelled out. A weight that is replaced by
    another one is that one; its GEMM says the pattern. A weight that is
    replaced by factors becomes a second GEMM: `SITE.v` multiplies by V, the
    site's own by U, and whatever followed it (a bias, a projection) follows
    that. Where rows are retained, the site is the sum of `SITE.u` and
    `SITE.retained`, each extended by zeros to all columns. What the dense
    program does not compute has no name as a value (`value ""`).

    Everything else is left alone. Propagation has no rule for replaced weights
    and needs none: this comes first, before GEMMs have epilogues or sets. The
    oracle computes the new weight instead (`prune-to-linalg`).

    Before:
    ```mlir
    func.func @up(%x: tensor<?x6xf32>, %w: tensor<8x6xf32>, %u: tensor<8x2xf32>, %v: tensor<2x6xf32>) -> tensor<?x8xf32> {
      %f = prune.replace "layers.0.mlp.up" %w by %u, %v in tensor<8x6xf32> by tensor<8x2xf32>, tensor<2x6xf32>
      %up = prune.gemm "layers.0.mlp.up" %x, %f : tensor<?x6xf32>, tensor<8x6xf32> -> tensor<?x8xf32>
      return %up : tensor<?x8xf32>
    }
    ```
    After:
    ```mlir
    func.func @up(%x: tensor<?x6xf32>, %w: tensor<8x6xf32>, %u: tensor<8x2xf32>, %v: tensor<2x6xf32>) -> tensor<?x8xf32> {
      %t = prune.gemm "layers.0.mlp.up.v" %x, %v value "" : tensor<?x6xf32>, tensor<2x6xf32> -> tensor<?x2xf32>
      %up = prune.gemm "layers.0.mlp.up" %t, %u : tensor<?x2xf32>, tensor<8x2xf32> -> tensor<?x8xf32>
      return %up
    ```
  }];
  let statistics = [
    Statistic<"numExpanded", "expanded", "Number of replaced weights">,
  ];
  let dependentDialects = ["::coppice::prune::PruneDialect"];
}

def PrunePropagate : Pass<"prune-propagate", "::mlir::ModuleOp"> {
  let summary = "Move restrictions up and extensions down until shapes are narrow";
  let description = [{
    Each `prune.project` P = E S is taken apart; then S moves up and E moves
    down, each by rules that are exact, until they cancel, reach a weight, or
    stop where no rule applies. What was narrowed says so in `prune.kept`.

    | rule | where |
    |---|---|
    | `S_N (A W^T) = A (S W)^T` | prune.gemm, with its epilogue's operands |
    | `S_M (A W^T) = (S A) W^T`, `(E_M A) W^T = E_M (A W^T)` | prune.gemm; E only without epilogue |
    | `(E_K A) W^T = A (S_K W)^T` | prune.gemm |
    | `S f(x, y) = f(S x, S y)` along a parallel loop | linalg ops, every operand and result |
    | `f(E x, y) = E f(x, S y)` if f(0, y) = 0; `f(E_k x, E_l y) = E_(k or l) f(..)` if f(0, 0) = 0 | linalg ops |
    | `rms_norm(E x, g) = E rms_norm(x, S g)` with the old divisor | decoder.rms_norm; rows also S |
    | `S rms_norm(x, g) = rms_norm(S x, g)`, `rms_norm(E x, g) = E rms_norm(x, g)` | decoder.rms_norm of each head, whole heads |
    | `S_heads attention(q, k, v) = attention(S q, S k, S v)` | decoder.attention, as many query heads in each KV head that is left |
    | `S_rows attention(q, k, v) = attention(S q, k, v)`, slots and positions with q | decoder.attention |
    | `S rotary(x) = rotary(S x)`, `rotary(E x) = E rotary(x)` | decoder.rotary, whole heads or rows |
    | `S append(x, c) = append(S x, S c)` | decoder.append, columns; a cache argument of the function and its result become narrower |
    | `S_columns lookup(i, t) = lookup(i, S t)`, `S_rows lookup(i, t) = lookup(S i, t)`, `lookup(i, E_columns t) = E lookup(i, t)` | decoder.lookup |
    | `r + P_none(y) = r` | element-wise additions; then the sublayer is dead, its caches go, and rules run again without their readers |
    | `S E = 1`, `S_k E_l` = index map, `E_k E_l = E_(k composed with l)`, `S_i E_j = E_j S_i` on other axes | prune |

    S moves up only where all users of a value agree on it, else it stays and is
    a gather. S never moves up through a norm's columns or a softmax, and q = 0
    does not prune a head. A function that is called from the module keeps its
    arguments.

    Before:
    ```mlir
    func.func @mlp(%x: tensor<?x3xf32>, %w: tensor<5x3xf32>, %v: tensor<3x5xf32>) -> tensor<?x3xf32> {
      %up = prune.gemm "layers.0.mlp.up" %x, %w : tensor<?x3xf32>, tensor<5x3xf32> -> tensor<?x5xf32>
      %p = prune.project "layers.0.mlp" %up axis 1 keep #prune.set<[0:2] of 5> in tensor<?x5xf32>
      %down = prune.gemm "layers.0.mlp.down" %p, %v : tensor<?x5xf32>, tensor<3x5xf32> -> tensor<?x3xf32>
      return %down : tensor<?x3xf32>
    }
    ```
    After:
    ```mlir
    func.func @mlp(%x: tensor<?x3xf32>, %w: tensor<5x3xf32>, %v: tensor<3x5xf32>) -> tensor<?x3xf32> {
      %sw = prune.restrict %w axis 0 keep #prune.set<[0:2] of 5> in tensor<5x3xf32> -> tensor<2x3xf32>
      %up = prune.gemm "layers.0.mlp.up" %x, %sw {prune.kept = [[1, #prune.set<[0:2] of 5>]]} : tensor<?x3xf32>, tensor<2x3xf32> -> tensor<?x2xf32>
      %sv = prune.restrict %v axis 1 keep #prune.set<[0:2] of 5> in tensor<3x5xf32> -> tensor<3x2xf32>
      %down = prune.gemm "layers.0.mlp.down" %up, %sv : tensor<?x2xf32>, tensor<3x2xf32> -> tensor<?x3xf32>
      return %down
    ```
  }];
  let statistics = [
    Statistic<"numRestrictsMoved", "restricts-moved", "Number of ops that a restriction moved above">,
    Statistic<"numExtendsMoved", "extends-moved", "Number of ops that an extension moved below">,
    Statistic<"numSublayersRemoved", "sublayers-removed", "Number of residual additions of nothing that were removed">,
    Statistic<"numCachesNarrowed", "caches-narrowed", "Number of KV caches that became narrower">,
    Statistic<"numCachesRemoved", "caches-removed", "Number of KV caches that nothing reads any more">,
    Statistic<"numGathers", "gathers", "Number of restrictions of computed values that are left">,
  ];
  let dependentDialects = ["::coppice::prune::PruneDialect"];
}

def PruneFoldRestricts : Pass<"prune-fold-restricts", "::mlir::ModuleOp"> {
  let summary = "Fold restrictions of weights into the weights' globals";
  let description = [{
    A `prune.restrict` of an immutable global, or of a restriction of one,
    becomes the load of a narrower global that says in `prune.kept` what it holds
    of the dense weight; whoever reads the weights picks these elements.
    Restrictions of constants are evaluated. Globals that nothing uses any more
    are removed; a narrowed global takes the name of the dense one where that
    has gone. Restrictions of computed values are left alone.

    Before:
    ```mlir
    ml_program.global private @w(#ml_program.extern : tensor<5x3xbf16>) : tensor<5x3xbf16>
    func.func @forward() -> tensor<3x3xbf16> {
      %w = ml_program.global_load_const @w : tensor<5x3xbf16>
      %s = prune.restrict %w axis 0 keep #prune.set<[0, 3:5] of 5> in tensor<5x3xbf16> -> tensor<3x3xbf16>
      return %s : tensor<3x3xbf16>
    }
    ```
    After:
    ```mlir
    ml_program.global private @w(...) : tensor<3x3xbf16> {prune.kept = [[0, #prune.set<[0, 3:5] of 5>]]}
    func.func @forward() -> tensor<3x3xbf16> {
      %w = ml_program.global_load_const @w : tensor<3x3xbf16>
      return %w
    ```
  }];
  let statistics = [
    Statistic<"numFolded", "folded", "Number of restrictions that were folded">,
    Statistic<"numRemoved", "removed", "Number of globals that were removed">,
  ];
  let dependentDialects = ["::coppice::prune::PruneDialect"];
}

#endif
