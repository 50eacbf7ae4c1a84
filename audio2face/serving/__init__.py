"""A trained model as a service over gRPC, in the protocol of NVIDIA's Audio2Face-3D microservice.

`server` opens ports; `service` answers clients on the event loop; `scheduler` runs networks in one thread, for all
`stream`s together; `engine` makes a stream of a request. Called by `runners.serve`.
"""
