import fc from 'fast-check';

// A mutant must live or die by the code, not by the dice; nobody reads its counterexample, so none is shrunk.
fc.configureGlobal({ seed: 20261121, endOnFailure: true });
