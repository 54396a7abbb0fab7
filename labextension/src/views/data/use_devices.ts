// Devices and executors, live: the panel and the page of the devices show the same.
import type { DevicesReply, DevicesTopic } from './types';
import { useSubscription, type Subscription } from './use_subscription';

const DEVICES: Subscription<'devices', DevicesTopic, DevicesReply> = {
  query: 'devices',
  begin: reply => reply,
  topic: { kind: 'devices' },
  merge: (_, batch) => batch.devices,
};

/** `shared`: several users share the devices. */
export function useDevices(): { reply: DevicesReply | undefined; error: string | null; shared: boolean } {
  const { data: reply, error } = useSubscription(DEVICES, {});
  const shared = new Set(reply?.executors.map(executor => executor.user)).size > 1;
  return { reply, error, shared };
}
