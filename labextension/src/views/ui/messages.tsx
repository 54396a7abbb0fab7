// What a view says of errors and of its connection.
import type { ReactNode } from 'react';
import type { ConnectionState } from '../data/source';
import { Sentence } from './sentence';
import './messages.css';

export const Problem = ({ children }: { children: ReactNode }) =>
  children ? (
    <p className="imgcls-problem" role="alert">
      {typeof children === 'string' ? <Sentence text={children} /> : children}
    </p>
  ) : null;

const NOTICES: Partial<Record<ConnectionState, string>> = {
  reconnecting: 'reconnecting…',
  still: 'stands still: the kernel that followed it has ended',
};

/** Shown while the connection is broken. */
export const ConnectionNotice = ({ connection }: { connection: ConnectionState }) =>
  NOTICES[connection] ? (
    <span className="imgcls-connection" role="status">
      {NOTICES[connection]}
    </span>
  ) : null;
