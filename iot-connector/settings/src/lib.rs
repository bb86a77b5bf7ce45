//! Every option, port, path and the status page of iot-connector, once
