import type { Vm } from '../vm.ts';
import { invalidParams, RequestError, RPC } from './protocol.ts';

/**
 * @param name of a VM; it may be left out where there is only one
 * @throws RequestError
 */
export function namedVm(
  vms: ReadonlyMap<string, Vm>,
  name: string | undefined,
): { readonly name: string; readonly vm: Vm } {
  const known = [...vms.keys()];
  if (name === undefined && known.length !== 1) {
    throw invalidParams([{ field: 'vm', message: 'is missing: there is more than one VM' }]);
  }
  const wanted = name ?? known[0]!;
  const vm = vms.get(wanted);
  if (vm !== undefined) return { name: wanted, vm };
  throw new RequestError(RPC.state, 'unknown-vm', `there is no VM '${wanted}' here, only ${known.join(', ')}`, 'vm');
}
