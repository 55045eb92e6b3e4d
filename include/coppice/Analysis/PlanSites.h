// Which sites the decisions of a plan, and the flags that add some, name.
#ifndef COPPICE_ANALYSIS_PLANSITES_H
#define COPPICE_ANALYSIS_PLANSITES_H

#include "coppice/Analysis/SiteGlob.h"
#include "coppice/Dialect/Prune/IR/Prune.h"

namespace coppice {

/// Does the decision name `site`, the sublayer that it is of, or its layer?
/// False for one whose glob is wrong: that is reported when the plan is
/// applied.
bool namesSite(prune::DecisionOpInterface decision, llvm::StringRef site);

/// The glob of a `--sites` flag, `all` where the flag is empty. Reports at
/// `plan` what is wrong with it.
mlir::FailureOr<SiteGlob>
parseSitesFlag(prune::PlanOp plan, llvm::StringRef sites, llvm::StringRef all);

/// ` of 'SITES'`, what an error about the flag ends with; empty if it is.
std::string describeSitesFlag(llvm::StringRef sites);

} // namespace coppice

#endif // COPPICE_ANALYSIS_PLANSITES_H
