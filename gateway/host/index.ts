/** What programs import as `holdfast/client`: a typed client of the host interface. */
export type { EventKind, HostEvent, Method, ParamsOf, Results, Status, VmStatus, VmSummary } from './api.ts';
export { HostClient, HostClientError, type HostClientErrorCode, type HostClientOptions } from './client.ts';
export type { GatewayAddress, TlsAddress } from './connect.ts';
export { RequestError } from './protocol.ts';
export type { VmClient } from './vm-client.ts';
