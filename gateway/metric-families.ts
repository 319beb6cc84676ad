import type { MetricFamily, MetricType } from './exposition.ts';

function family(name: string, type: MetricType, labels: string, help: string): MetricFamily {
  return { name, type, help, labels: labels === '' ? [] : labels.split(' ') };
}

/** The gateway's metrics. Names are fixed; METRICS.md lists them, and a test compares it with what is told. */
export const FAMILY = {
  buildInfo: family(
    'holdfast_build_info',
    'gauge',
    'version node',
    'Always 1: the version of the gateway and of Node.js',
  ),

  outbound: family('holdfast_outbound_frames_total', 'counter', 'vm', 'Frames read from the VM'),
  inbound: family('holdfast_inbound_frames_total', 'counter', 'vm', 'Frames read from the network'),
  passed: family('holdfast_passed_frames_total', 'counter', 'vm', 'Outbound frames that left at once'),
  held: family('holdfast_held_frames_total', 'counter', 'vm', 'Outbound frames that were ever in the transmit buffer'),
  released: family('holdfast_released_frames_total', 'counter', 'vm', 'Held frames that have left'),
  discarded: family(
    'holdfast_discarded_frames_total',
    'counter',
    'vm',
    'Held frames that a rollback or a failure undid',
  ),
  dropped: family('holdfast_dropped_frames_total', 'counter', 'vm', 'Outbound frames that were dropped'),
  stillHeld: family('holdfast_still_held_frames', 'gauge', 'vm', 'Outbound frames that were read and have no end yet'),
  inboundPassed: family('holdfast_inbound_passed_frames_total', 'counter', 'vm', 'Frames delivered to the VM'),
  inboundDropped: family('holdfast_inbound_dropped_frames_total', 'counter', 'vm', 'Inbound frames that were dropped'),
  reasons: family(
    'holdfast_reason_frames_total',
    'counter',
    'vm reason',
    'Frames of both directions by the reason of their verdict',
  ),

  bufferFrames: family('holdfast_buffer_frames', 'gauge', 'vm', 'Frames in the transmit buffer'),
  bufferBytes: family('holdfast_buffer_bytes', 'gauge', 'vm', 'Bytes of the frames in the transmit buffer'),
  bufferPeakFrames: family(
    'holdfast_buffer_peak_frames',
    'gauge',
    'vm',
    'Most frames that were ever in the transmit buffer at once',
  ),
  bufferPeakBytes: family(
    'holdfast_buffer_peak_bytes',
    'gauge',
    'vm',
    'Most bytes that were ever in the transmit buffer at once',
  ),
  limitFrames: family(
    'holdfast_buffer_limit_frames',
    'gauge',
    'vm',
    'Frames that the transmit buffer takes, without the reserve for seals',
  ),
  limitBytes: family(
    'holdfast_buffer_limit_bytes',
    'gauge',
    'vm',
    'Bytes that the transmit buffer takes, without the reserve for seals',
  ),
  oldestHeld: family(
    'holdfast_oldest_held_seconds',
    'gauge',
    'vm',
    'Age of the oldest frame in the transmit buffer, 0 if there is none',
  ),
  holdTimes: family('holdfast_hold_seconds', 'histogram', 'vm', 'How long released frames were held'),

  state: family(
    'holdfast_state',
    'gauge',
    'vm state',
    '1 for the state of replication that the VM is in, 0 for the others',
  ),
  term: family('holdfast_term', 'gauge', 'vm', 'The term in force, or the last one'),
  openEpoch: family('holdfast_open_epoch', 'gauge', 'vm', 'The epoch that frames are labelled with'),
  committedEpoch: family('holdfast_committed_epoch', 'gauge', 'vm', 'The last epoch that has committed'),
  inFlight: family(
    'holdfast_epochs_in_flight',
    'gauge',
    'vm',
    'Epochs that are sealed and neither committed nor aborted',
  ),
  hostSilent: family(
    'holdfast_host_silent_seconds',
    'gauge',
    'vm',
    'Time since the last request of the term in force, NaN without one',
  ),
  leaseLapsed: family('holdfast_lease_lapsed', 'gauge', 'vm', '1 while everything is held because the host is silent'),
  quiesced: family('holdfast_quiesced', 'gauge', 'vm', '1 while no frame is delivered to the VM'),
  failed: family('holdfast_vm_failed', 'gauge', 'vm', '1 while what the VM sends is dropped because it has failed'),

  recovered: family(
    'holdfast_recovered_frames',
    'gauge',
    'vm',
    'Frames that an earlier process had held and this one found',
  ),
  resent: family(
    'holdfast_resent_frames',
    'gauge',
    'vm',
    'Those of them that may have been sent already: they are sent again',
  ),
  lost: family(
    'holdfast_lost_frames',
    'gauge',
    'vm',
    'Frames that an earlier process had held and that are gone, NaN where nobody knows',
  ),
  announcements: family('holdfast_announcements', 'gauge', 'vm', 'Announcements of addresses that were sent'),

  generation: family('holdfast_rules_generation', 'gauge', 'vm', 'Number of the rule set in force'),
  rules: family('holdfast_rules', 'gauge', 'vm', 'Rules in force'),
  rulesLeftOut: family(
    'holdfast_rules_left_out',
    'gauge',
    'vm',
    'Rules in force without series of their own: those after the first 1000',
  ),
  ruleFrames: family('holdfast_rule_frames_total', 'counter', 'vm direction handle', 'Frames that the rule decided'),
  ruleBytes: family(
    'holdfast_rule_bytes_total',
    'counter',
    'vm direction handle',
    'Bytes of the frames that the rule decided',
  ),
  classFrames: family(
    'holdfast_class_frames_total',
    'counter',
    'vm direction class',
    'Frames that rules of the class decided',
  ),
  classBytes: family(
    'holdfast_class_bytes_total',
    'counter',
    'vm direction class',
    'Bytes of the frames that rules of the class decided',
  ),

  linkUp: family('holdfast_port_link_up', 'gauge', 'vm pair side port backend', '1 while the link of the port is up'),
  mtu: family(
    'holdfast_port_mtu_bytes',
    'gauge',
    'vm pair side port backend',
    'The longest payload that the link takes; no series where it has no limit',
  ),
  portReceived: family(
    'holdfast_port_received_frames_total',
    'counter',
    'vm pair side port backend',
    'Frames that came in at the port',
  ),
  portReceivedBytes: family(
    'holdfast_port_received_bytes_total',
    'counter',
    'vm pair side port backend',
    'Their bytes, without FCS',
  ),
  portSent: family(
    'holdfast_port_sent_frames_total',
    'counter',
    'vm pair side port backend',
    'Frames that the link took',
  ),
  portSentBytes: family(
    'holdfast_port_sent_bytes_total',
    'counter',
    'vm pair side port backend',
    'Their bytes, without FCS',
  ),
  portLost: family(
    'holdfast_port_lost_frames_total',
    'counter',
    'vm pair side port backend',
    'Frames that the kernel or the peer lost before they could be read',
  ),
  portRefused: family(
    'holdfast_port_refused_frames_total',
    'counter',
    'vm pair side port backend',
    'Frames that the link could not take at once, each attempt counted',
  ),
  portLinkDown: family(
    'holdfast_port_link_down_frames_total',
    'counter',
    'vm pair side port backend',
    'Frames that were dropped because the link was down',
  ),
  portTooLong: family(
    'holdfast_port_too_long_frames_total',
    'counter',
    'vm pair side port backend',
    'Frames that were dropped because they are longer than the link allows',
  ),
  portInvalid: family(
    'holdfast_port_invalid_frames_total',
    'counter',
    'vm pair side port backend',
    'Frames that were dropped because the link cannot take such ones',
  ),

  cpu: family('process_cpu_seconds_total', 'counter', '', 'CPU time of the process, in user and kernel mode'),
  resident: family('process_resident_memory_bytes', 'gauge', '', 'Memory of the process that is in RAM'),
  startTime: family('process_start_time_seconds', 'gauge', '', 'When the process began, in seconds since 1970'),
  openFds: family('process_open_fds', 'gauge', '', 'Open file descriptors; no series where the system does not tell'),
  loopDelay: family(
    'holdfast_event_loop_delay_p99_seconds',
    'gauge',
    '',
    'What 99 of 100 turns of the event loop were late at the most, of the last 15 seconds or more',
  ),
} as const satisfies Readonly<Record<string, MetricFamily>>;
