import { compileGeneration } from '../../classifier/classifier.ts';
import { keepHandles } from '../../rules/handles.ts';
import type { RuleSet } from '../../rules/rule.ts';
import type { Vm } from '../vm.ts';
import { RuleAudit } from './audit.ts';
import type { CompiledRuleText } from './compiled.ts';

/** The audit of one VM that runs, or the last one. */
export class Trial {
  #audit: RuleAudit | null = null;
  #hash = '';

  /**
   * Begins another audit.
   * @param before the rules in force; rules whose text is there have its handle
   * @param nextHandle for the others
   */
  begin(vm: Vm, { ruleSet, tables, hash }: CompiledRuleText, before: RuleSet, nextHandle: number): void {
    const numbered = keepHandles(ruleSet, before, nextHandle).ruleSet;
    const generation = compileGeneration(vm.generation.number + 1, numbered, tables);
    this.#hash = hash;
    this.#audit = new RuleAudit(generation, vm.verifiesChecksums);
    vm.beginAudit(generation.live, this.#audit);
  }

  /** Whether a text is the one that is audited. */
  isOf(hash: string): boolean {
    return this.#hash === hash;
  }

  /** Null: there was none. */
  last(vm: Vm | null): { readonly audit: RuleAudit; readonly isRunning: boolean } | null {
    const audit = this.#audit;
    return audit === null ? null : { audit, isRunning: vm?.forwarder.onJudged === audit };
  }
}
