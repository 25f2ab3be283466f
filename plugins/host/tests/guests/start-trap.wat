;; Traps while it is instantiated.
;;; module
(func $first unreachable)
(start $first)
