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

/** Shown while the connection is broken. */
export const ConnectionNotice = ({ connection }: { connection: ConnectionState }) =>
  connection === 'reconnecting' ? (
    <span className="imgcls-connection" role="status">
      reconnecting…
    </span>
  ) : null;
