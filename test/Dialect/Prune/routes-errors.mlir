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
  // expected-error @below {{expected a width that is 2 equal groups of columns, found 'tensor<?x7xf32>'}}
  %p = prune.project_by "s" %x, %m : tensor<?x7xf32>, tensor<?x2xi8>
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
  // expected-error @below {{expected a mask of one group, found 'tensor<?x2xi8>'}}
  %l, %c = prune.compact "s" %m : tensor<?x2xi8> -> tensor<?xi32>, tensor<i32>
  return
}

// -----

func.func @room(%x: tensor<?x6xf32>, %g: tensor<6xf32>, %list: tensor<4xi32>, %count: tensor<i32>) {
  // expected-error @below {{expected a list with room for the rows of 'tensor<?x6xf32>', found 'tensor<4xi32>'}}
  %n = decoder.rms_norm "n" %x, %g rows(%list, %count : tensor<4xi32>) {divisor = 6 : i64, epsilon = 1.0e-5 : f32} : tensor<?x6xf32>, tensor<6xf32>
  return
}
