;; Was built against a later patch of the contract.
;;; version
1.0.7
