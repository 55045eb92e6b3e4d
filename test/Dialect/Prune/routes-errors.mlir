// RUN: coppice-opt %s --split-input-file --verify-diagnostics

prune.plan @p {
  // expected-error @below {{expected 'linear', 'bottleneck' or 'mlp', found 'gumbel'}}
  prune.route "layers.0.mlp" axis(M) by gumbel
}

// -----

prune.plan @p {
  // expected-error @below {{expected a width of at least 1 between the two products of a router, found 0}}
  prune.route "layers.0.mlp" axis(M) by mlp
}

// -----

prune.plan @p {
  // expected-error @below {{expected no width of a linear router, found 4}}
  prune.route "layers.0.mlp" axis(M) by linear(4)
}

// -----

prune.plan @p {
  // expected-error @below {{expected an expected share of rows from 0 to 1, found 1.5}}
  prune.route "layers.0.mlp" axis(M) by linear expected = 1.5
}

// -----

func.func @scores(%s: tensor<?x3xf32>, %f: tensor<?x5xi8>) {
  // expected-error @below {{expected two scores for each of 1 columns of the mask, found 'tensor<?x3xf32>'}}
  %m = prune.decide "r" %s forced %f column 0 expected 0.5 : tensor<?x3xf32>, tensor<?x5xi8> -> tensor<?x1xi8>
  return
}

// -----

func.func @column(%s: tensor<?x4xf32>, %f: tensor<?x5xi8>) {
  // expected-error @below {{expected columns 4 to 6 of what is forced, found 'tensor<?x5xi8>'}}
  %m = prune.decide "r" %s forced %f column 4 expected 0.5 : tensor<?x4xf32>, tensor<?x5xi8> -> tensor<?x2xi8>
  return
}

// -----

func.func @groups(%x: tensor<?x7xf32>, %m: tensor<?x2xi8>) {
  // expected-error @below {{expected a mask of one column and no 'among' without 'groups of', found 'tensor<?x2xi8>'}}
  %p = prune.project_by "s" %x, %m : tensor<?x7xf32>, tensor<?x2xi8>
  return
}

// -----

func.func @group_count(%x: tensor<?x7xf32>, %m: tensor<?x2xi8>) {
  // expected-error @below {{expected a mask of a column for each group of 3 of 7 columns, found 'tensor<?x2xi8>'}}
  %p = prune.project_by "s" %x, %m groups of 3 : tensor<?x7xf32>, tensor<?x2xi8>
  return
}

// -----

func.func @group_set(%x: tensor<?x7xf32>, %m: tensor<?x2xi8>) {
  // expected-error @below {{expected a set of the 7 columns of the input}}
  %p = prune.project_by "s" %x, %m groups of 3 among <[0:5] of 8> : tensor<?x7xf32>, tensor<?x2xi8>
  return
}

// -----

func.func @group_into(%x: tensor<?x7xf32>, %m: tensor<?x3xi8>) {
  // expected-error @below {{expected neither 'into' nor 'passed' of groups of columns, found one}}
  %p = prune.project_by "s" %x, %m groups of 3 : tensor<?x7xf32>, tensor<?x3xi8> into %x : tensor<?x7xf32>
  return
}

// -----

func.func @into(%x: tensor<?x7xf32>, %m: tensor<?x1xi8>, %r: tensor<?x6xf32>) {
  // expected-error @below {{expected an 'into' of the input's type}}
  %p = prune.project_by "s" %x, %m : tensor<?x7xf32>, tensor<?x1xi8> into %r : tensor<?x6xf32>
  return
}

// -----

func.func @compact(%m: tensor<?x2xi8>) {
  // expected-error @below {{expected a list and a count for each of the 2 groups of the mask, found 'tensor<?xi32>' and 'tensor<i32>'}}
  %l, %c = prune.compact "s" %m : tensor<?x2xi8> -> tensor<?xi32>, tensor<i32>
  return
}

// -----

func.func @room(%x: tensor<?x6xf32>, %g: tensor<6xf32>, %list: tensor<4xi32>, %count: tensor<i32>) {
  // expected-error @below {{expected a list with room for the rows of 'tensor<?x6xf32>', found 'tensor<4xi32>'}}
  %n = decoder.rms_norm "n" %x, %g rows(%list, %count : tensor<4xi32>) {divisor = 6 : i64, epsilon = 1.0e-5 : f32} : tensor<?x6xf32>, tensor<6xf32>
  return
}

// -----

prune.plan @p {
  // expected-error @below {{expected the axis 'M', 'N' or 'K', found 'Q'}}
  prune.route "layers.0.mlp" axis(Q) by linear
}

// -----

prune.plan @p {
  // expected-error @below {{expected groups of at least 1, found 0}}
  prune.route "layers.0.mlp" axis(N) groups of 0 by linear
}

// -----

prune.plan @p {
  // expected-error @below {{expected 'scaled' and 'forecast' with axis(M) only, found it with groups}}
  prune.route "layers.0.mlp" axis(N) groups of 4 by linear scaled
}

// -----

func.func @lists(%x: tensor<?x6xf32>, %w: tensor<6x6xf32>, %l: tensor<2x?xi32>, %c: tensor<2xi32>) {
  // expected-error @below {{expected a list of rows for each 2 of 6, found 'tensor<2x?xi32>'}}
  %h = prune.gemm "h" %x, %w rows both(%l, %c : tensor<2x?xi32>) per group of 2 : tensor<?x6xf32>, tensor<6x6xf32> -> tensor<?x6xf32>
  return
}

// -----

func.func @sides(%x: tensor<?x6xf32>, %w: tensor<6x6xf32>, %l: tensor<3x?xi32>, %c: tensor<3xi32>) {
  // expected-error @below {{expected several lists of rows to be of both sides}}
  %h = prune.gemm "h" %x, %w rows gather(%l, %c : tensor<3x?xi32>) per group of 2 : tensor<?x6xf32>, tensor<6x6xf32> -> tensor<?x6xf32>
  return
}

// -----

func.func @no_into(%x: tensor<?x6xf32>, %w: tensor<6x6xf32>, %l: tensor<3x?xi32>, %c: tensor<3xi32>) {
  // expected-error @below {{expected an 'into' for what the sets leave out, found none}}
  %h = prune.gemm "h" %x, %w rows both(%l, %c : tensor<3x?xi32>) per panel of 2 : tensor<?x6xf32>, tensor<6x6xf32> -> tensor<?x6xf32>
  return
}

// -----

func.func @heads(%x: tensor<?x6xf32>, %a: tensor<?x2xf32>, %l: tensor<2x?xi32>, %c: tensor<2xi32>) {
  // expected-error @below {{expected lists of rows for equal groups of 3 heads, found 'tensor<2x?xi32>'}}
  %q = decoder.rotary "q" %x, %a rows(%l, %c : tensor<2x?xi32>) {head_dim = 2 : i64} : tensor<?x6xf32>, tensor<?x2xf32>
  return
}

// -----

prune.plan @p {
  // expected-error @below {{expected either a threshold or a top, found both}}
  prune.route "layers.0.mlp" axis(M) by linear threshold = 0.5 top = 0.5
}

// -----

prune.plan @p {
  // expected-error @below {{expected a top between 0 and 1, found 1.5}}
  prune.route "layers.0.mlp" axis(M) by linear top = 1.5
}
